"""Layers of recurrent models: states by name, and one set of variables for several kernels."""

from rnncli.layers.attention import Attention, Memory
from rnncli.layers.bridge import Bridge, fits
from rnncli.layers.cudnn_probe import probe_cudnn
from rnncli.layers.custom_cell import UserCell, load_cell
from rnncli.layers.custom_recurrent import CustomRecurrent
from rnncli.layers.embedding import TiedOutput, TokenEmbedding
from rnncli.layers.features import FeatureEncoder
from rnncli.layers.kernel_selection import KernelChoice, choose_kernel, xla_compiles
from rnncli.layers.monotonic_attention import MonotonicAttention
from rnncli.layers.pointer_generator import PointerGenerator
from rnncli.layers.pooling import Pooling
from rnncli.layers.precision import layer_precision
from rnncli.layers.recurrent import BuiltInRecurrent, Recurrent, State, StateSpec
from rnncli.layers.scheduled_sampling import replace_by_samples
from rnncli.layers.stack import AnyCell, RecurrentStack, dropout
from rnncli.layers.tensors import Tensor
from rnncli.layers.text_pair import TextPair

__all__ = [
    "AnyCell",
    "Attention",
    "Bridge",
    "BuiltInRecurrent",
    "CustomRecurrent",
    "FeatureEncoder",
    "KernelChoice",
    "Memory",
    "MonotonicAttention",
    "PointerGenerator",
    "Pooling",
    "Recurrent",
    "RecurrentStack",
    "State",
    "StateSpec",
    "Tensor",
    "TextPair",
    "TiedOutput",
    "TokenEmbedding",
    "UserCell",
    "choose_kernel",
    "dropout",
    "fits",
    "layer_precision",
    "load_cell",
    "probe_cudnn",
    "replace_by_samples",
    "xla_compiles",
]
