"""Layers of recurrent models: named state, one set of weights under several kernels."""

from rnncli.layers.attention import Attention, Memory
from rnncli.layers.bridge import Bridge, fits
from rnncli.layers.cells import CELLS, Cell
from rnncli.layers.cudnn_probe import probe_cudnn
from rnncli.layers.custom_cell import UserCell, load_cell
from rnncli.layers.embedding import Symbols, TiedOutput
from rnncli.layers.kernel_selection import KernelChoice, choose_kernel, xla_compiles
from rnncli.layers.pooling import Pooling
from rnncli.layers.precision import layers_of
from rnncli.layers.recurrent import Recurrent, State
from rnncli.layers.stack import RecurrentStack, dropped

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
