"""The training state as bytes that the first worker sends to the others: nothing in it is executed."""

from __future__ import annotations

import json

import numpy as np
from safetensors.numpy import load

from rnncli.runs.arrays import Arrays, format_arrays
from rnncli.runs.train_state import TrainState

STATE, LOSSES, NORMS = "state", "losses", "gradient_norms"


def pack(state: TrainState, arrays: dict[str, Arrays]) -> bytes:
    """Return a training state and the arrays of a checkpoint as a safetensors file."""
    flat = {f"{file}:{name}": value for file, values in arrays.items() for name, value in values.items()}
    of_steps = {
        name: np.concatenate(each) if each else np.zeros(0, np.float32)
        for name, each in ((LOSSES, state.losses), (NORMS, state.gradient_norms))
    }
    record = np.frombuffer(json.dumps(state.model_dump(mode="json")).encode(), np.uint8)
    return format_arrays({**flat, STATE: record, **of_steps})


def unpack(data: bytes) -> tuple[TrainState, dict[str, Arrays]]:
    """Return what `pack` was given."""
    flat = load(data)
    state = TrainState.model_validate_json(flat.pop(STATE).tobytes())
    of_steps = {name: flat.pop(name) for name in (LOSSES, NORMS)}
    arrays: dict[str, Arrays] = {}
    for key, value in flat.items():
        file, _, name = key.partition(":")
        arrays.setdefault(file, {})[name] = value
    return state.model_copy(update={name: [v] if v.size else [] for name, v in of_steps.items()}), arrays
