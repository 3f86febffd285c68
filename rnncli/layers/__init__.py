"""Layers of recurrent models: named state, one set of weights under several kernels."""

from rnncli.layers.attention import Attention, Memory
from rnncli.layers.bridge import Bridge, fits
from rnncli.layers.cells import CELLS, Cell
from rnncli.layers.kernel_choice import KernelChoice, choose_kernel, xla_compiles
from rnncli.layers.pooling import Pooling
from rnncli.layers.precision import layers_of
from rnncli.layers.probe import probe_cudnn
from rnncli.layers.recurrent import Recurrent, State
from rnncli.layers.stack import RecurrentStack, dropped
from rnncli.layers.symbols import Symbols, TiedOutput
from rnncli.layers.user_cell import UserCell, load_cell

__all__ = [
    "CELLS",
    "Attention",
    "Bridge",
    "Cell",
    "KernelChoice",
    "Memory",
    "Pooling",
    "Recurrent",
    "RecurrentStack",
    "State",
    "Symbols",
    "TiedOutput",
    "UserCell",
    "choose_kernel",
    "dropped",
    "fits",
    "layers_of",
    "load_cell",
    "probe_cudnn",
    "xla_compiles",
]
