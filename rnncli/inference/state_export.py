"""Hidden states and attention weights of a trained run, as batches for the writers of `rnncli.states`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.data.columns import split_columns
from rnncli.data.examples import Examples
from rnncli.data.parsing import read_examples, read_sources
from rnncli.data.task import line_of, show_target, symbols_to_write, text_of
from rnncli.data.vocabulary import EOS, EOS_ID, FIRST
from rnncli.errors import InputError, option_words
from rnncli.inference.batching import BATCH_ROWS, pad_to
from rnncli.inference.decoding import Decoded, States
from rnncli.inference.initial_states import advance, leading_rows, num_rows
from rnncli.inference.predictor import TrainedRun
from rnncli.inference.streaming import iter_available_chunks, iter_full_chunks
from rnncli.layers import xla_compiles
from rnncli.models import Model
from rnncli.runtime.compiled import CompiledFunction
from rnncli.states.batch import StateBatch, prepare_batch


@dataclass(frozen=True)
class Selection:
    """The arrays to export.

    Attributes:
        layers: Prefixes of layers, such as `encoder/0`; empty is all.
        which: Names of states per step, `output` for the outputs of layers, `final` for the final states; empty is
            all but `output`.
    """

    layers: tuple[str, ...] = ()
    which: tuple[str, ...] = ()

    def includes(self, name: str) -> bool:
        """Return True if an array of this name is to be exported."""
        kind = "final" if "/final/" in name else name.rpartition("/")[2]
        layer = "/".join(name.split("/")[:2])
        wanted = kind in self.which if self.which else kind != "output"
        return wanted and (not self.layers or layer in self.layers)


def all_states(model: Model) -> Selection:
    """Return the selection of everything, outputs included."""
    kinds = dict.fromkeys(state for layer in model.recurrent_layers for state in layer.states)
    return Selection(which=(*kinds, "output", "final"))


class Exporter:
    """Runs a trained model over lines and returns its states.

    Args:
        run: The trained run.
        selection: The arrays to export.
        teacher_forced: True feeds given targets to the decoder, False its own predictions.

    Attributes:
        spec: Shape of a row of each array, by name.

    Raises:
        InputError: The model does not have a chosen layer or state.
    """

    def __init__(self, run: TrainedRun, selection: Selection, teacher_forced: bool) -> None:
        self.run, self.selection, self.teacher_forced = run, selection, teacher_forced
        self.check(selection)
        compiled = xla_compiles(layer.choice for layer in run.model.recurrent_layers)
        self._trace = CompiledFunction(self._selected, compiled, f"states {selection} {teacher_forced}")
        self.spec = {
            name: tuple(shape[1:]) for name, shape in self._trace.output_shapes(*self._input_specs()).items()
        }

    def check(self, selection: Selection) -> None:
        """Refuse a selection that names what the model does not have.

        Raises:
            InputError: It does.
        """
        layers = [layer.prefix for layer in self.run.model.recurrent_layers]
        if unknown := [name for name in selection.layers if name not in layers]:
            raise InputError(
                f"{option_words('layers', unknown[0])}: no such layer", f"the model has {', '.join(layers)}"
            )
        kinds = dict.fromkeys(state for layer in self.run.model.recurrent_layers for state in layer.states)
        known = [*kinds, "output", "final"]
        if unknown := [name for name in selection.which if name not in known]:
            raise InputError(
                f"{option_words('which', unknown[0])}: the model has no such state", f"it has {', '.join(known)}"
            )

    def _selected(self, *inputs: Any) -> dict[str, tf.Tensor]:
        arrays = self.run.model.trace(*inputs)
        return {name: value for name, value in arrays.items() if self.selection.includes(name)}

    def _input_specs(self) -> list[Any]:
        """Return shape and dtype of each input of a batch, as `_batch` pads it."""
        model, row = self.run.model, tf.TensorSpec([BATCH_ROWS], tf.int32)
        source = tf.TensorSpec([BATCH_ROWS, *model.network.inputs[0].shape[1:]], model.source_dtype)
        specs: list[Any] = [source, row, tf.TensorSpec([BATCH_ROWS, self.run.task.sizes.target_steps], tf.int32), row]
        if states := self.run.first_states:
            specs.append({key: tf.TensorSpec([BATCH_ROWS, *value.shape[1:]]) for key, value in states.items()})
        return specs

    def batches(self, lines: Iterable[str], name: str) -> Iterator[StateBatch]:
        """Yield the states of examples, a batch at a time; memory is bounded.

        Args:
            lines: A source each; with teacher forcing a source, a tab and the target.
            name: Name of the input, for messages.

        Raises:
            DataError: A line is not a valid example.
        """
        states, done = self.run.first_states, 0
        full = iter_full_chunks(lines, num_rows(states)) if states else iter_available_chunks(lines, BATCH_ROWS)
        for chunk in full:
            initial = leading_rows(states, len(chunk))
            examples, decoded = self._decode(chunk, name, done, initial)
            for start in range(0, len(chunk), BATCH_ROWS):
                rows = slice(start, start + BATCH_ROWS)
                first = {key: value[rows] for key, value in initial.items()}
                yield self._batch(chunk[rows], examples.rows(rows), decoded.ids[rows], first)
            states, done = advance(states, decoded.state), done + len(chunk)

    def _decode(self, lines: Sequence[str], name: str, done: int, initial: States) -> tuple[Examples, Decoded]:
        """Return the examples in lines, and their predictions; without teacher forcing these are the targets.

        Args:
            lines: The lines.
            name: Name of the input, for messages.
            done: Number of lines before.
            initial: Initial states of a stateful model; empty for the model's own.
        """
        if self.teacher_forced:
            examples = read_examples(self.run.task, lines, name, first=done + 1)
            return examples, self.run.decoder(examples.source, examples.source_lengths, initial or None)
        texts = [text_of(self.run.task, line) for line in lines]
        source, lengths = read_sources(self.run.task, texts, name, first=done + 1)
        decoded = self.run.decoder(source, lengths, initial or None)
        ids = decoded.ids
        return Examples(source, lengths, ids, self._predicted_lengths(ids, lengths)), decoded

    def _predicted_lengths(self, ids: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
        """Return the length of each prediction, end-of-sequence included, int [rows].

        Args:
            ids: Predictions, int32 [rows, target steps].
            lengths: Lengths of the sources, int [rows].
        """
        if self.run.model.per_step:
            return lengths
        if EOS not in self.run.task.target_vocabulary.ids:
            return np.full(len(ids), ids.shape[1], np.int32)
        ends = ids == EOS_ID
        predicted = np.where(ends.any(axis=1), np.argmax(ends, axis=1) + 1, ids.shape[1])
        return predicted.astype(np.int32)

    def _batch(
        self, lines: Sequence[str], examples: Examples, predicted: NDArray[np.int32], initial: States
    ) -> StateBatch:
        task, rows = self.run.task, len(examples)
        source = pad_to(np.asarray(examples.source), task.sizes.source_steps)
        values = (source, examples.source_lengths, examples.target, examples.target_lengths)
        dtypes = (self.run.model.source_dtype, "int32", "int32", "int32")

        def fill(value: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([value, np.repeat(value[:1], BATCH_ROWS - rows, axis=0)])

        inputs: list[Any] = [fill(value).astype(dtype) for value, dtype in zip(values, dtypes, strict=True)]
        if initial:
            inputs.append({name: fill(value) for name, value in initial.items()})
        with tf.device(self.run.decoder.runtime.device):
            traced = self._trace(*tf.nest.map_structure(tf.constant, inputs))
        arrays = {name: value.numpy()[:rows] for name, value in traced.items()}
        texts = [str(split_columns(task.columns, line)[0]) if self.teacher_forced else line for line in lines]
        source_tokens, target_tokens = self._symbols_of_steps(examples, texts)
        return StateBatch(
            sources=texts,
            predictions=[
                line_of(task, show_target(task, ids, text))
                for ids, text in zip(predicted.tolist(), texts, strict=True)
            ],
            source_tokens=source_tokens,
            target_tokens=target_tokens,
            source_lengths=np.array([*map(len, source_tokens)], np.int32),
            target_lengths=np.array([*map(len, target_tokens)], np.int32),
            arrays=arrays,
        )

    def _symbols_of_steps(
        self, examples: Examples, sources: Sequence[str]
    ) -> tuple[list[list[str]], list[list[str]]]:
        """Return the symbols that the steps of arrays of the source and of the target side have, of each example."""
        sizes, ids = self.run.task.sizes, np.asarray(examples.source)
        if not sizes.first_symbols:
            return self._source_tokens(examples), self._target_tokens(examples, sources)
        decode, cut = self.run.task.source_vocabulary.decode, sizes.tags
        first = _tokens(decode, ids[:, :cut], np.count_nonzero(ids[:, :cut], axis=1))
        second = _tokens(decode, ids[:, cut:], examples.source_lengths - cut)
        return [[symbol.removeprefix(FIRST) for symbol in row] for row in first], second

    def _target_tokens(self, examples: Examples, sources: Sequence[str]) -> list[list[str]]:
        rows = zip(sources, examples.target.tolist(), examples.target_lengths.tolist(), strict=True)
        known = ((symbols_to_write(self.run.task, source), ids[:length]) for source, ids, length in rows)
        return [[symbols[index] for index in ids] for symbols, ids in known]

    def _source_tokens(self, examples: Examples) -> list[list[str]]:
        if self.run.task.sizes.features is not None:  # steps of numbers are named by their indices
            return [[str(step) for step in range(length)] for length in examples.source_lengths.tolist()]
        features = self.run.task.sizes.tags  # which no recurrent layer reads
        text, lengths = np.asarray(examples.source)[:, features:], examples.source_lengths - features
        return _tokens(self.run.task.source_vocabulary.decode, text, lengths)


def _tokens(decode: Callable[[Any], list[str]], ids: NDArray[Any], lengths: NDArray[Any]) -> list[list[str]]:
    return [decode(row[:length]) for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]


def collect(batches: Iterable[StateBatch], spec: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of all batches, as `rnncli export-states` writes them to an npz file.

    Args:
        batches: The batches, at least one.
        spec: Shape of a row of each array, by name.

    Returns:
        float32 arrays by name, zero behind the end of a row, `source_lengths` and `target_lengths`, int32 [examples].
    """
    ready = [prepare_batch(batch, spec, np.dtype(np.float32)) for batch in batches]
    arrays: dict[str, NDArray[Any]] = {name: np.concatenate([batch.arrays[name] for batch in ready]) for name in spec}
    lengths = {
        f"{side}_lengths": np.concatenate([each.lengths(side) for each in ready]) for side in ("source", "target")
    }
    return arrays | lengths
