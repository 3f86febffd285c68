"""The interface of decoders, which predict targets as ids, in whatever runtime. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rnncli.inference.decoding_options import DecodingOptions

States = dict[str, NDArray[np.float32]]
"""States by name, float32 [rows, units] each."""

GREEDY = DecodingOptions()

MAX_ATTENTION_WEIGHTS = 2**24
"""Attention weights computed at a time (float32, 64 MiB)."""


class SequenceSpec(NamedTuple):
    """The properties of target sequences that decoding needs.

    Attributes:
        begin: Id of beginning-of-sequence.
        end: Id of end-of-sequence.
        max_length: Maximum symbols, end-of-sequence included.
    """

    begin: int
    end: int
    max_length: int


@dataclass(frozen=True)
class Decoded:
    """The predictions for a set of sources.

    Attributes:
        hypotheses: Ids of each source's hypotheses, best first; int32 [rows, hypotheses, target steps].
        log_probabilities: Natural-log probability of each hypothesis, float32 [rows, hypotheses]; minus infinity
            where there is none.
        probabilities: Probability of each target symbol, float32 [rows, symbols]; of models with one step only.
        state: The final states of each row, float32 [rows, units] by the names of `Model.state_spec`; empty after
            beam search and sampling.
        target_log_probabilities: As `Decoder.score` returns them, of models that predict all steps at once and were
            given targets; else None.
    """

    hypotheses: NDArray[np.int32]
    log_probabilities: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    state: States
    target_log_probabilities: NDArray[np.float32] | None = None

    @property
    def ids(self) -> NDArray[np.int32]:
        """The best hypothesis of each row, int32 [rows, target steps]."""
        return self.hypotheses[:, 0]


class SequenceDecoder(Protocol):
    """Runs a model over arrays of ids.

    Attributes:
        state_spec: Name and shape of the states that prediction can start from and ends with.
    """

    state_spec: dict[str, tuple[int, ...]]

    def __call__(
        self,
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        initial: States | None = None,
        options: DecodingOptions = GREEDY,
        lines: NDArray[np.integer] | None = None,
    ) -> Decoded:
        """Predict the targets of any number of sources.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            initial: Initial states of each row, instead of those of the encoder or zeros.
            options: Options of decoding; models that predict all symbols at once support greedy decoding only.
            lines: Line number of each row, which determines its samples, int [rows]; None is 1, 2, ...
        """

    def encode(self, source: NDArray[Any], lengths: NDArray[np.integer]) -> States:
        """Return the states after reading sources: the initial states of the decoder, if the model has one.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
        """

    def step(
        self, ids: NDArray[np.int32], states: States, source: NDArray[Any] | None, lengths: NDArray[np.integer] | None
    ) -> tuple[NDArray[np.float32], States]:
        """Read a symbol, and return what the model expects next.

        Args:
            ids: int32 [rows]: of a model that predicts symbol by symbol the last symbols of the targets, of a
                next-step model those of the sources.
            states: The states before them, float32 [rows, units] by the names of `state_spec`.
            source: As in `Examples.source`; only models with attention need it.
            lengths: int [rows], with `source`.

        Returns:
            The logits of the next symbols, float32 [rows, symbols], and the new states.
        """

    def attention(
        self, source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the attention weights of predicted targets; of models with attention.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            target: Predicted ids, int32 [rows, target steps].

        Returns:
            float32 [rows, target steps, source steps]. The weights of a target step sum to 1; those of steps behind
            end-of-sequence have no meaning.
        """

    def max_length(self, options: DecodingOptions) -> int:
        """Return the maximum number of symbols of a prediction."""


def no_rows(options: DecodingOptions, max_length: int, state_spec: dict[str, tuple[int, ...]]) -> Decoded:
    """Return the predictions for no sources, which nothing has to be compiled for.

    Args:
        options: Options of decoding.
        max_length: Maximum number of symbols of a prediction.
        state_spec: Name and shape of the states of a row.
    """
    ids = np.zeros((0, options.n_best, max_length), np.int32)
    state = {name: np.zeros((0, *shape), np.float32) for name, shape in state_spec.items()}
    return Decoded(ids, np.zeros(ids.shape[:2], np.float32), None, state)
