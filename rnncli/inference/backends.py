"""The table of backends, which make a predictor of a run. One of them alone imports TensorFlow.

A backend is a module with two functions, which are given a `Request`:

* `refusal(request) -> Refusal | None` says why it cannot answer, without doing any work;
* `start(request) -> Predictor` makes it ready.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rnncli.errors import InputError

if TYPE_CHECKING:
    from rnncli.inference.prediction import Predictor
    from rnncli.runs.directory import SavedRun

BACKENDS = {
    "onnx": "rnncli.inference.onnx_backend",
    "tensorflow": "rnncli.inference.tensorflow_backend",
}
"""The module of each backend by its name; `auto` takes the first that does not refuse."""

AUTO = "auto"


@dataclass(frozen=True)
class Request:
    """A request to a backend.

    Attributes:
        saved: The run.
        others: The other runs of an ensemble.
        device: `auto`, `cpu` or `gpu`.
        states: True if prediction starts from given states.
    """

    saved: SavedRun
    others: Sequence[SavedRun] = ()
    device: str = "auto"
    states: bool = False


class Refusal(NamedTuple):
    """The reason why a backend cannot answer.

    Attributes:
        reason: In one line, behind the name of the run.
        hint: What to do about it.
        surprising: True if the user may expect the backend to answer, so that `auto` says that it does not.
    """

    reason: str
    hint: str = ""
    surprising: bool = False


def load(path: Path, checkpoint: str = "best", trust_code: bool = False) -> SavedRun:
    """Read a run directory or an exported model, without TensorFlow.

    Args:
        path: A run directory; or an exported `predict.onnx`, or its folder.
        checkpoint: The checkpoint of a run directory.
        trust_code: True to allow that the class of a custom cell is imported.

    Raises:
        InputError: It is neither, or not valid.
    """
    from rnncli.inference.onnx_model import exported_file, load_exported
    from rnncli.runs.checkpoints import BEST
    from rnncli.runs.directory import RunDir

    if (file := exported_file(path)) is None:
        return RunDir(path).load(checkpoint, trust_code)
    if checkpoint != BEST:
        raise InputError(f"{path}: an exported model has no checkpoints", "leave out --checkpoint")
    return load_exported(file)


def start(request: Request, name: str = AUTO, note: Callable[[str], None] = lambda _: None) -> Predictor:
    """Return a predictor of a run.

    Args:
        request: The run, and what is needed.
        name: A key of `BACKENDS`, or `auto`.
        note: Is given the reason why `auto` does not take a backend that the user may expect.

    Raises:
        InputError: The backend cannot answer.
    """
    reasons: list[str] = []
    hint = ""
    for each in BACKENDS if name == AUTO else [name]:
        backend = import_module(BACKENDS[each])
        if (refused := backend.refusal(request)) is None:
            predictor: Predictor = backend.start(request)
            return predictor
        if name == AUTO and refused.surprising:
            note(f"{request.saved.path}: {refused.reason}; using its own weights, by TensorFlow")
        reasons, hint = [*reasons, refused.reason], refused.hint
    raise InputError(f"{request.saved.path}: {'; '.join(reasons)}", hint)
