"""Digests and descriptions: which data, kernels and versions a run or a file comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncli.data.examples import Examples
from rnncli.errors import RunDirError
from rnncli.files import read_json
from rnncli.runs.directory import RunDir
from rnncli.runtime.run_files import MANIFEST

if TYPE_CHECKING:
    from rnncli.runs.directory import SavedRun


def kernels_of(model: Any) -> dict[str, str]:
    """The kernel that runs each recurrent layer, by the prefix of its states."""
    return {layer.prefix: layer.choice.kernel for layer in model.recurrent_layers}


def describe(saved: SavedRun, kernels: dict[str, str], mode: str) -> dict[str, Any]:
    """What a file of states says of the run that they come from."""
    return {
        "run": str(saved.path),
        "step": saved.checkpoint.step,
        **saved.identity(),
        "config": saved.config.model_dump(mode="json", by_alias=True),
        "kernels": kernels,
        "decoding": mode,
    }


SPLITS = ("train", "held_out")


TEST = "test"


REPRODUCIBILITY_KEYS = ("versions", "device", "parts", "threads", "kernels")
"""What of all that decides the last bits of what is computed the manifest has."""


def data_digests(splits: Sequence[Examples]) -> dict[str, str]:
    """Digests of the examples to train on and of those held out."""
    return {name: data_digest(examples) for name, examples in zip(SPLITS, splits, strict=True)}


def data_digest(examples: Examples) -> str:
    """sha256 over all arrays of some examples: equal if and only if these are."""
    digest = hashlib.sha256(f"{examples.continuing}\n".encode())
    for array in (examples.source, examples.source_lengths, examples.target, examples.target_lengths):
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def is_recorded(run: Path, split: str, examples: Examples) -> bool:
    """Whether examples that a run's config names are those that training had, by the digest that the run recorded.

    A config may name any file, and a run may be from anyone: nobody knows the digest of what they cannot read.

    Args:
        run: The run.
        split: One of SPLITS, or TEST.
        examples: As the config names them.

    Raises:
        RunDirError: The run has recorded no digest of them.
        InputError: The manifest cannot be read.
    """
    recorded = read_json(run / MANIFEST, run).get("data")
    if not isinstance(recorded, dict) or split not in recorded:
        raise RunDirError(f"{run / MANIFEST}: has no digest of such data", "give a file of yours by --input")
    return bool(recorded[split] == data_digest(examples))


def refuse_other_data(run: RunDir, splits: Sequence[Examples]) -> None:
    """Check that a run goes on with the data that it was trained on.

    Raises:
        RunDirError: It would be other data; says of which split.
        InputError: The manifest, which knows, cannot be read.
    """
    recorded = read_json(run.path / MANIFEST, run.path).get("data")
    found = data_digests(splits)
    names = {"train": "to train on", "held_out": "held out"}
    which = [names[name] for name in SPLITS if not isinstance(recorded, dict) or recorded.get(name) != found[name]]
    if which:
        raise RunDirError(
            f"{run.path}: the examples {' and those '.join(which)} are not those that it was trained with",
            "give it the same data, or --allow-changed-data if you want to go on with other data",
        )


def note_changes(run: RunDir, facts: Mapping[str, Any], step: int) -> list[str]:
    """Add to the manifest in what a run goes on otherwise than it began.

    Args:
        run: The run.
        facts: What its manifest would say if it began now.
        step: Where it goes on.

    Returns:
        What a person should know: why it may end at other bits than without an interruption.
    """
    began = read_json(run.path / MANIFEST, run.path)
    known = [key for key in REPRODUCIBILITY_KEYS if key in began]  # older runs have no threads
    changed = {key: facts[key] for key in known if _short(facts.get(key)) != _short(began[key])}
    data = facts["data"] != began.get("data")
    if not changed and not data:
        return []
    resumed = began.get("resumed")
    entry = {"step": step, **changed, **({"data": facts["data"]} if data else {})}
    earlier = resumed if isinstance(resumed, list) else []
    run.write_manifest({**began, "data": facts["data"], "resumed": [*earlier, entry]})
    notes = [f"{key}: {_short(began.get(key))} when it began, {_short(facts[key])} now" for key in changed]
    only_divided = changed and changed.keys() <= {"parts", "threads"} and not data and facts["device"] == "cpu"
    if only_divided and began.get("threads") in (1, began.get("parts")):  # small batches have more threads than parts
        notes.append(f"--set runtime.cores={began.get('parts')} divides the work as before")
    return [f"note: it may end at other bits than without the interruption: {'; '.join(notes)}"] if notes else []


def _short(fact: Any) -> Any:
    """A fact without the reasons for kernels."""
    if not isinstance(fact, dict):
        return fact
    return {key: value.get("kernel") if isinstance(value, dict) else value for key, value in fact.items()}
