"""A trained run from Python: `run = rnncli.load(path)`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from rnncli.errors import InputError
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.ensembles import check_ensemble_compatible
from rnncli.runs.directory import RunDir
from rnncli.runtime.tensorflow_setup import scoped_settings, setup_inference
from rnncli.states.named_arrays import ArraySpec, check_arrays

if TYPE_CHECKING:
    from rnncli.inference.predictor import Prediction

States = dict[str, NDArray[np.float32]]
"""Named states, float32 [rows, units] each."""


class Run:
    """A trained run; made by `rnncli.load`.

    Attributes:
        config: As it was trained.
        carried: The states that training of a stateful model left; empty for others.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: Literal["auto", "cpu", "gpu"] = "auto",
        trust_code: bool = False,
        ensemble: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        saved, *others = (RunDir(Path(p)).load(trust_code=trust_code).on(device) for p in (path, *ensemble))
        check_ensemble_compatible(saved, others)
        self.config, self.carried = saved.config, cast(States, saved.carried)
        with scoped_settings():
            ready = setup_inference(saved.config)  # before TensorFlow is imported
            from rnncli.inference.predictor import TrainedRun

            self._run = TrainedRun(saved, ready, others)

    def encode(self, sources: Sequence[str]) -> States:
        """The states after reading sources; for an encoder-decoder those that its decoder starts from.

        Args:
            sources: As for `rnncli predict`.

        Returns:
            float32 [sources, units] by name, fit for `predict`'s initial_state.

        Raises:
            rnncli.errors.DataError: A source is bad.
        """
        from rnncli.data.parsing import read_sources

        if not sources:
            raise InputError("sources: none given")
        return self._run.decoder.encode(*read_sources(self._run.task, sources, "sources"))

    def predict(
        self,
        sources: Sequence[str],
        initial_state: States | None = None,
        *,
        beam: int = 1,
        n_best: int = 1,
        length_penalty: float = 0.0,
        max_length: int | None = None,
        sample: bool = False,
        temperature: float = 1.0,
        seed: int = 0,
        attention: bool = False,
    ) -> list[Prediction]:
        """Answers, one a source; bad sources have an `error` in place of a text.

        Args:
            sources: As for `rnncli predict`.
            initial_state: States to start from, float32 [sources, units] by name; with them every source must be
                good, and the search greedy. None is what the encoder gives, or zeros.
            beam: Unfinished answers that are kept at every step; 1 is greedy.
            n_best: Answers in a prediction's `hypotheses`: the best of the beam, or so many samples.
            length_penalty: See `rnncli predict --length-penalty`.
            max_length: Most symbols of an answer, its end included; None is as in training.
            sample: Draw answers by chance.
            temperature: Of samples.
            seed: With a source's place, from 1, it decides its samples.
            attention: Whether predictions have what the model looked at.

        Raises:
            rnncli.errors.InputError: The states are not those of this model and these sources, or with states a
                source is bad; or what is asked for does not go together, or not with this model.
        """
        options = DecodingOptions(beam, n_best, length_penalty, max_length, sample, temperature, seed)
        options.check(self.config.model)
        if attention and not self._run.attends:
            raise InputError("attention: the model has none, or not all models of the ensemble")
        if initial_state is None:
            return self._run.predict(sources, options, attention=attention)
        if options != DecodingOptions() or attention:
            raise InputError("initial_state: answers from states are found greedily, and without attention")
        states = self._checked(initial_state, self._run.decoder.model.state_spec, len(sources))
        return self._run.predict_from(sources, "sources", 1, states)[0]

    def unroll(self, inputs: NDArray[Any], state: States | None = None) -> tuple[NDArray[np.float32], States]:
        """Run the layers that read (the encoder, or the whole stack) over steps: burn-in, then step by step.

        Args:
            inputs: Ids, int [rows, steps], or where steps are numbers, float [rows, steps, features]; any number of
                steps.
            state: Named states to start from, as a call before gave them; None is as cells start, mostly zeros.

        Returns:
            The last layer's outputs, float32 [rows, steps, width], and the states after the last step, float32
            [rows, units] by name.

        Raises:
            rnncli.errors.InputError: The states are not those of this model and these rows, or an id is no symbol's.
        """
        import tensorflow as tf

        model = self._run.model
        read, initial = self._checked_inputs(inputs), None
        if state is not None:
            reading = [layer for layer in model.recurrent_layers if not layer.prefix.startswith("decoder/")]
            spec = {name: shape for layer in reading for name, shape in layer.state_spec.items()}
            state = self._checked(state, spec, len(read))
        with tf.device(self._run.decoder.runtime.device):
            if state is not None:
                initial = {name: tf.constant(value) for name, value in state.items()}
            outputs, final = model.unroll(tf.constant(read), initial)
        return outputs.numpy(), {name: value.numpy() for name, value in final.items()}

    def _checked_inputs(self, inputs: NDArray[Any]) -> NDArray[Any]:
        sizes, dtype = self._run.task.sizes, self._run.model.source_dtype
        read = np.asarray(inputs).astype(dtype)
        ends = () if sizes.features is None else (sizes.features,)
        if read.ndim != 2 + len(ends) or read.shape[2:] != ends or not read.size:
            wanted = ", ".join(["rows", "steps", *map(str, ends)])
            raise InputError(f"inputs are {list(read.shape)}, not [{wanted}] with a row and a step at least")
        if dtype == "int32" and not 0 <= read.min() <= read.max() < sizes.source_symbols:
            raise InputError(f"inputs: ids must be from 0 to {sizes.source_symbols - 1}")
        return read

    @staticmethod
    def _checked(states: States, spec: dict[str, tuple[int, ...]], rows: int) -> States:
        """The states as float32 arrays, if they are those of the spec for so many rows."""
        arrays = {name: np.asarray(value, np.float32) for name, value in states.items()}
        check_arrays(arrays, {name: ArraySpec((rows, *shape)) for name, shape in spec.items()}, "initial states")
        return arrays
