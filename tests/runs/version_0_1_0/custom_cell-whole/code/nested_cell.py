"""A cell whose inputs and states are structures, after the NestedCell of Keras's guide "Working with RNNs"."""

import keras
from keras import ops


class NestedCell(keras.layers.Layer):
    """Two inputs, [batch, i1] and [batch, i2, i3]; two states, [batch, units] and [batch, a, b].

    Each state fades by a learned factor and takes up a function of its input: `state * fade + tanh(input @ kernel)`.
    """

    state_names = ("vector", "matrix")

    def __init__(self, units, matrix_units=(4, 4), **kwargs):
        super().__init__(**kwargs)
        self.units, self.matrix_units = units, tuple(matrix_units)
        self.state_size = [units, self.matrix_units]
        self.output_size = [units, self.matrix_units]

    def build(self, input_shapes):
        """Make the weights."""
        (_, i1), (_, i2, i3) = input_shapes
        a, b = self.matrix_units
        self.kernel_1 = self.add_weight(shape=(i1, self.units), name="kernel_1")
        self.kernel_2_3 = self.add_weight(shape=(i2, i3, a, b), name="kernel_2_3")
        self.fade_1 = self.add_weight(shape=(self.units,), initializer="ones", name="fade_1")
        self.fade_2_3 = self.add_weight(shape=(a, b), initializer="ones", name="fade_2_3")

    def call(self, inputs, states):
        """One step; returns the output and the new states, both as structures."""
        vector, matrix = inputs
        state_1, state_2_3 = states
        state_1 = ops.sigmoid(3 * self.fade_1) * state_1 + ops.tanh(ops.matmul(vector, self.kernel_1))
        new = ops.tanh(ops.einsum("bij,ijkl->bkl", matrix, self.kernel_2_3))
        state_2_3 = ops.sigmoid(3 * self.fade_2_3) * state_2_3 + new
        return (state_1, state_2_3), (state_1, state_2_3)
