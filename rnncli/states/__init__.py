"""States in files: exported in the formats of several tools, read back as what prediction starts from.

Knows no model, and imports neither TensorFlow nor Keras.

>>> with open_writer("states.npz", None, {"run": "runs/a"}, {"encoder/0/forward/h": (20, 128)}) as writer:
...     writer.write(batch)
>>> read_states("states.npz").arrays["encoder/0/forward/h"].shape
(1000, 20, 128)
"""

from rnncli.states.batch import ATTENTION, Spec, StateBatch, as_vectors, is_final, side_of, state_name
from rnncli.states.final_states import IDENTITY, check_states, write_final_states
from rnncli.states.formats import FORMATS, Format, check_output, format_of, open_writer
from rnncli.states.reader import StateFile, read_states
from rnncli.states.writer import StateWriter

__all__ = [
    "ATTENTION",
    "FORMATS",
    "IDENTITY",
    "Format",
    "Spec",
    "StateBatch",
    "StateFile",
    "StateWriter",
    "as_vectors",
    "check_output",
    "check_states",
    "format_of",
    "is_final",
    "open_writer",
    "read_states",
    "side_of",
    "state_name",
    "write_final_states",
]
