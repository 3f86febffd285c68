"""A cell that is not built in, as somebody would add it: a Keras cell in a file of its own."""

import keras
from keras import ops


class MinimalGatedUnitCell(keras.layers.Layer):
    """Minimal gated unit (Zhou et al. 2016, equations 6 to 8): a GRU with one gate."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        """Create the kernels of the forget gate and of the candidate, side by side."""
        self.kernel = self.add_weight(shape=(input_shape[-1], 2 * self.units), name="kernel")
        shape = (self.units, 2 * self.units)
        self.recurrent_kernel = self.add_weight(shape=shape, initializer="orthogonal", name="recurrent_kernel")
        self.bias = self.add_weight(shape=(2 * self.units,), initializer="zeros", name="bias")

    def call(self, inputs, states):
        """Map inputs, float [batch, features], and the state, float [batch, units], to the output and the state."""
        h = states[0]
        x_f, x_h = ops.split(ops.matmul(inputs, self.kernel) + self.bias, 2, axis=-1)
        u_f, u_h = ops.split(self.recurrent_kernel, 2, axis=-1)
        f = ops.sigmoid(x_f + ops.matmul(h, u_f))
        candidate = ops.tanh(x_h + ops.matmul(f * h, u_h))
        h = (1 - f) * h + f * candidate
        return h, [h]
