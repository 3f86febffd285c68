"""Cells such as users write, for the tests of custom cells."""

import keras
from keras import ops


class LikeLSTM(keras.layers.LSTMCell):
    """Keras's own LSTM, come by way of a custom cell."""

    state_names = ("h", "c")


class Leaky(keras.layers.Layer):
    """One state, without names, that starts from `first`; its weights come from a layer inside."""

    def __init__(self, units, leak=0.5, first=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.leak, self.first = units, leak, first
        self.state_size = units
        self.dense = keras.layers.Dense(units)

    def get_initial_state(self, batch_size=None):
        return ops.full((batch_size, self.units), self.first)

    def call(self, inputs, states):
        state = self.leak * states[0] + self.dense(inputs)
        return ops.tanh(state), [state]


class Matrix(keras.layers.Layer):
    """A vector and a matrix as states, whatever vector it reads; the output is the vector alone."""

    state_names = ("vector", "matrix")

    def __init__(self, units, rows=2, **kwargs):
        super().__init__(**kwargs)
        self.units, self.rows = units, rows
        self.state_size = [units, (rows, units)]

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.rows, self.units), name="kernel")
        self.unused = self.add_weight(shape=(2,), name="unused")

    def call(self, inputs, states):
        vector, matrix = states
        matrix = 0.5 * matrix + ops.tanh(ops.einsum("bi,iru->bru", inputs, self.kernel))
        vector = ops.tanh(vector + ops.sum(matrix, axis=1))
        return vector, [vector, matrix]
