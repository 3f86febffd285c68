"""Layers of recurrent models: named state, one set of weights under several kernels."""

from rnncli.layers.bridge import Bridge
from rnncli.layers.cells import CELLS, Cell
from rnncli.layers.kernel_choice import KernelChoice, choose_kernel, xla_compiles
from rnncli.layers.pooling import Pooling
from rnncli.layers.precision import layers_of
from rnncli.layers.probe import probe_cudnn
from rnncli.layers.recurrent import Recurrent, RecurrentStack, State
from rnncli.layers.symbols import Symbols

__all__ = [
    "CELLS",
    "Bridge",
    "Cell",
    "KernelChoice",
    "Pooling",
    "Recurrent",
    "RecurrentStack",
    "State",
    "Symbols",
    "choose_kernel",
    "layers_of",
    "probe_cudnn",
    "xla_compiles",
]
