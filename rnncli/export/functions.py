"""The functions of a model as TensorFlow graphs, for the formats that TensorFlow writes: encode, step, predict_ids.

Names of states have `_` for `/`, as names of arguments must.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from rnncli.config import Config, NextStepModel
from rnncli.data.examples import Sizes
from rnncli.inference.decoder import predict_steps
from rnncli.inference.decoding import SequenceSpec
from rnncli.inference.sampling import greedy
from rnncli.layers import Memory, State
from rnncli.models import AutoregressiveModel, NetworkModel, SinglePassModel, build_model
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import IDS, LENGTHS, LOGITS, NEXT, PROBABILITIES, SCORE, SOURCE
from rnncli.runs.size_limits import check_size

Tensors = dict[str, tf.Tensor]

PREDICT_IDS = "predict_ids"
"""The signature from ids to ids."""


def identifier(name: str) -> str:
    """Return the name of a state as that of an argument."""
    return name.replace("/", "_")


def rebuild(saved: SavedRun) -> NetworkModel:
    """Return the model of a run on the CPU, with its weights."""
    config: Config = saved.config.on_device("cpu")
    check_size(config, saved.task, saved.weights, str(saved.path))
    model = build_model(config, saved.task.sizes, search_path=saved.search_path)
    model.assign(saved.weights)
    return model


class ExportedModule(tf.Module):
    """A module that holds the variables of a model, and nothing of Keras, which would save them twice."""

    def __init__(self, model: NetworkModel) -> None:
        super().__init__()
        self.variables_of_model = [variable.value for variable in model.network.weights]


@dataclass(frozen=True)
class ModelFunctions:
    """The functions of a model.

    Attributes:
        model: The model.
        config: The config of the run.
        sizes: Sizes of vocabularies and lengths of sequences.
    """

    model: NetworkModel
    config: Config
    sizes: Sizes

    def concrete(self) -> dict[str, Any]:
        """Return the concrete function of each signature."""
        if isinstance(self.model, SinglePassModel):
            return self._single_pass(self.model)
        return self._autoregressive(self.model)

    def predict(self, source: tf.Tensor, lengths: tf.Tensor, **states: tf.Tensor) -> Tensors:
        """Predict greedily; states are those that a next-step model starts from.

        Returns:
            `ids`, int32 [batch, target steps], `score`, float32 [batch], and of single-pass models the final states,
            and the `probabilities` of one step.
        """
        model = self.model
        if isinstance(model, SinglePassModel):
            initial = {name: states[identifier(name)] for name in model.state_spec} if states else None
            batch = {SOURCE: source, LENGTHS: lengths, **({} if initial is None else {"initial": initial})}
            found = predict_steps(model, batch)
            more = {PROBABILITIES: found[PROBABILITIES]} if PROBABILITIES in found else {}
            return {IDS: found[IDS][:, 0], SCORE: found["scores"][:, 0], **_next(found["state"]), **more}
        state, memory = model.encode(source, lengths)
        rows = greedy(partial(self._logits, model, memory), state, SequenceSpec(model.begin, model.end, model.steps))
        return {IDS: rows.ids, SCORE: rows.score}

    def zero_states(self, rows: tf.Tensor) -> Tensors:
        """Return the states of zeros that a next-step model starts from; of other models none."""
        if not isinstance(self.config.model, NextStepModel):
            return {}
        return {identifier(name): tf.zeros([rows, *shape]) for name, shape in self.model.state_spec.items()}

    @staticmethod
    def _logits(model: AutoregressiveModel, memory: Memory, ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        return model.step(ids, state, memory)

    def _autoregressive(self, model: AutoregressiveModel) -> dict[str, Any]:
        def encode(source: tf.Tensor, lengths: tf.Tensor) -> Tensors:
            state, memory = model.encode(source, lengths)
            return {identifier(name): value for name, value in state.items()} | _memory_outputs(memory)

        def step(**given: tf.Tensor) -> Tensors:
            state = {name: given[identifier(name)] for name in model.state_spec}
            memory = {}
            if model.has_attention:
                memory = {name: given[f"memory_{name}"] for name in ("values", "keys")} | {LENGTHS: given[LENGTHS]}
            logits, new = model.step(given[IDS], state, memory)
            return {LOGITS: logits, **_next(new)}

        encoded = concrete(encode, self._source_specs())
        specs = {name: _spec(name, value) for name, value in encoded.structured_outputs.items()}
        if model.has_attention:
            specs[LENGTHS] = tf.TensorSpec([None], tf.int32, LENGTHS)
        specs = {IDS: tf.TensorSpec([None], tf.int32, IDS), **specs}
        return {
            PREDICT_IDS: concrete(self.predict, self._source_specs()),
            "encode": encoded,
            "step": concrete(step, specs),
        }

    def _single_pass(self, model: SinglePassModel) -> dict[str, Any]:
        if not isinstance(self.config.model, NextStepModel):
            return {PREDICT_IDS: concrete(self.predict, self._source_specs())}
        states = {
            identifier(name): tf.TensorSpec([None, *shape], tf.float32, identifier(name))
            for name, shape in model.state_spec.items()
        }

        def step(ids: tf.Tensor, **given: tf.Tensor) -> Tensors:
            initial = {name: given[identifier(name)] for name in model.state_spec}
            logits, new = model.read_from(initial, ids[:, None], tf.ones_like(ids))
            return {LOGITS: logits[:, 0], **_next(new)}

        return {
            PREDICT_IDS: concrete(self.predict, {**self._source_specs(), **states}),
            "step": concrete(step, {IDS: tf.TensorSpec([None], tf.int32, IDS), **states}),
        }

    def _source_specs(self) -> dict[str, tf.TensorSpec]:
        """Return the specs of sources of the longest length, which attention and unrolled layers need to know."""
        features = () if self.sizes.features is None else (self.sizes.features,)
        source = tf.TensorSpec([None, self.sizes.source_steps, *features], self.model.source_dtype, SOURCE)
        return {SOURCE: source, LENGTHS: tf.TensorSpec([None], tf.int32, LENGTHS)}


def concrete(function: Callable[..., Tensors], specs: Mapping[str, tf.TensorSpec]) -> Any:
    """Return a function as a graph."""
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _next(state: State) -> Tensors:
    return {identifier(NEXT + name): value for name, value in state.items()}


def _memory_outputs(memory: Memory) -> Tensors:
    return {f"memory_{name}": value for name, value in memory.items() if name != LENGTHS}


def _spec(name: str, value: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(value.shape, value.dtype, name)
