"""Records of the data, kernels and versions that a run or a file of states comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncli.data.examples import ARRAYS, Examples
from rnncli.errors import RunDirError, option_words, override_words
from rnncli.files import read_json
from rnncli.runs.directory import RunDir
from rnncli.runtime.run_files import MANIFEST

if TYPE_CHECKING:
    from rnncli.runs.directory import SavedRun

SPLITS, TEST = ("train", "held_out"), "test"
"""Keys of the digests of the data in the manifest."""

DIGESTED_ROWS = 2**16
"""Rows that are read at a time of arrays that may be files."""

REPRODUCIBILITY_KEYS = ("versions", "device", "workers", "parts", "micro_batches", "threads", "xla_flags", "kernels")
"""Keys of the manifest whose values decide the last bits of what is computed."""


def describe(saved: SavedRun, kernels: dict[str, str], mode: str) -> dict[str, Any]:
    """Return what a file of states records of the run that they come from."""
    return {
        "run": str(saved.path),
        "step": saved.checkpoint.step,
        **saved.identity(),
        "config": saved.config.model_dump(mode="json", by_alias=True),
        "kernels": kernels,
        "decoding": mode,
    }


def data_digests(splits: Sequence[Examples]) -> dict[str, str]:
    """Return the digests of the training and the held-out examples."""
    return {name: data_digest(examples) for name, examples in zip(SPLITS, splits, strict=True)}


def data_digest(examples: Examples) -> str:
    """Return the SHA-256 of all arrays of some examples, as hexadecimal digits."""
    digest = hashlib.sha256(f"{examples.continuing}\n".encode())
    all_of_them = [examples] if examples.extra is None else [examples, examples.extra]
    for array in (getattr(each, name) for each in all_of_them for name in ARRAYS):
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        for begin in range(0, len(array), DIGESTED_ROWS):
            digest.update(np.ascontiguousarray(array[begin : begin + DIGESTED_ROWS]).data)
    return digest.hexdigest()


def is_recorded(run: Path, split: str, examples: Examples) -> bool:
    """Return True if examples that a run's config names have the digest that training recorded.

    A config may name any file, and a run may come from anyone. The digest proves that whoever made the run could read
    the file.

    Args:
        run: The run directory.
        split: One of SPLITS, or TEST.
        examples: The examples that the config names.

    Raises:
        RunDirError: The run has no digest of this split.
        InputError: The manifest cannot be read.
    """
    recorded = read_json(run / MANIFEST, run).get("data")
    if not isinstance(recorded, dict) or split not in recorded:
        raise RunDirError(f"{run / MANIFEST}: records no digest of such data", "name your own file with --input")
    return bool(recorded[split] == data_digest(examples))


def refuse_other_data(run: RunDir, splits: Sequence[Examples]) -> None:
    """Check that a run resumes with the data that it was trained on.

    Raises:
        RunDirError: The data of a split differs.
        InputError: The manifest cannot be read.
    """
    recorded = read_json(run.path / MANIFEST, run.path).get("data")
    found = data_digests(splits)
    names = {"train": "training", "held_out": "held-out"}
    which = [names[name] for name in SPLITS if not isinstance(recorded, dict) or recorded.get(name) != found[name]]
    if which:
        raise RunDirError(
            f"{run.path}: the {' and '.join(which)} examples have changed since the run was trained",
            f"restore the data, or use {option_words('allow_changed_data', True)} to continue with the new data",
        )


def note_changes(run: RunDir, facts: Mapping[str, Any], step: int) -> list[str]:
    """Record in the manifest what has changed since the run began.

    Args:
        run: The run directory.
        facts: The manifest of a run that began now.
        step: The step that the run resumes from.

    Returns:
        Warnings for the user: the reasons for which the resumed run may not be bit-identical.
    """
    began = {"workers": 1, "micro_batches": 1, **read_json(run.path / MANIFEST, run.path)}  # older runs had no others
    known = [key for key in REPRODUCIBILITY_KEYS if key in began]  # older runs have no threads
    changed = {key: facts[key] for key in known if _short(facts.get(key)) != _short(began[key])}
    data = facts["data"] != began.get("data")
    if not changed and not data:
        return []
    resumed = began.get("resumed")
    entry = {"step": step, **changed, **({"data": facts["data"]} if data else {})}
    earlier = resumed if isinstance(resumed, list) else []
    run.write_manifest({**began, "data": facts["data"], "resumed": [*earlier, entry]})
    notes = [
        f"{key}: {_short(began.get(key)) or 'none'} when it began, {_short(facts[key]) or 'none'} now"
        for key in changed
    ]
    only_divided = changed and changed.keys() <= {"parts", "threads"} and not data and facts["device"] == "cpu"
    if only_divided and began.get("threads") in (1, began.get("parts")):  # small batches have more threads than parts
        as_before = override_words(f"runtime.cores={began.get('parts')}")
        notes.append(f"{as_before} divides the work as before")
    return [f"the resumed run may not be bit-identical: {'; '.join(notes)}"] if notes else []


def _short(fact: object) -> object:
    """Return a fact without the reasons for kernels."""
    if not isinstance(fact, dict):
        return fact
    return {key: value.get("kernel") if isinstance(value, dict) else value for key, value in fact.items()}
