"""Training and trained runs from Python: `rnncli.train(config)` and `rnncli.load(path)`.

Both leave the process as it was: settings that the results depend on are set while they compute, and put back. What
belongs to the whole process, such as threads and XLA's flags, stays as it is; where TensorFlow was used before with
other threads, a warning says so once, since the last bits may then differ from those of the `rnncli` command.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

if sys.platform == "win32":  # before any import of what only POSIX systems have
    raise ImportError("rnncli runs on Linux and macOS; on Windows use it in WSL")

import numpy as np
from numpy.typing import NDArray

from rnncli.cluster.layout import ALONE
from rnncli.config import Config, CustomCell, dump_config, load_config, name_of, parse_config
from rnncli.config.shipped import find_config
from rnncli.config.yaml_scalars import write_yaml
from rnncli.data.examples import SHARED_IDS, Examples, Sizes
from rnncli.data.parsing import read_examples
from rnncli.data.task import CutsText, Task
from rnncli.data.text_files import read_given_texts, read_lines
from rnncli.data.vocabulary import Vocabularies
from rnncli.errors import InputError, warn_user
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.ensembles import check_ensemble_compatible
from rnncli.inference.generation_options import GenerationOptions
from rnncli.runs.checkpoints import BEST, LAST
from rnncli.runs.directory import RunDir
from rnncli.runs.find import find_run
from rnncli.runs.metrics_log import read_metrics
from rnncli.runs.sessions import Origin
from rnncli.runtime.tensorflow_setup import scoped_settings, setup_inference
from rnncli.runtime.user_code import config_search_path
from rnncli.states.named_arrays import ArraySpec, check_arrays
from rnncli.text import printable, shorten
from rnncli.training.inputs import TrainingInputs
from rnncli.training.job import TrainingJob

if TYPE_CHECKING:
    import keras

    from rnncli.inference.evaluation import Evaluation
    from rnncli.inference.prediction import Prediction
    from rnncli.inference.stepper import Stepper
    from rnncli.inference.target_scores import TargetScore

Device = Literal["auto", "cpu", "gpu"]

States = dict[str, NDArray[np.float32]]
"""Named states, float32 [rows, units] each."""


class Run:
    """A trained run, made by `rnncli.load` and `rnncli.train`.

    Attributes:
        path: The run directory, the beginning of its name, or `latest`, as for the command line.
        config: The config, for this device.
        epoch: Epochs that the weights were trained for.
        step: Training steps that the weights were trained for.
        best: The metrics of the best epoch; empty if no epoch has ended.
        finished: False if training stopped before its end. It can be resumed.
        carried: The states that training of a stateful model ended with; empty for other models.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: Device = "auto",
        trust_code: bool = False,
        ensemble: Sequence[str | os.PathLike[str]] = (),
        checkpoint: str | int = BEST,
    ) -> None:
        if device not in get_args(Device):
            raise InputError(f"device={device!r} is not one of {', '.join(get_args(Device))}")
        wanted = {0: str(checkpoint)}
        saved, *others = (
            RunDir(each).load(wanted.get(number, BEST), trust_code).on(device)
            for number, each in enumerate(map(find_run, map(Path, (path, *ensemble))))
        )
        check_ensemble_compatible(saved, others)
        self.epoch, self.step = saved.checkpoint.epoch, saved.checkpoint.step
        self.path, self.config, self.carried = saved.path, saved.config, cast(States, saved.carried)
        newest = saved.newest
        self.best = dict(saved.checkpoint.best if newest is None else newest.best)
        self.finished = newest is not None and newest.finished(saved.config.training)
        self._saved = replace(saved, weights={})  # the model has them
        self._of_ensemble = bool(others)
        with scoped_settings():
            ready = setup_inference(saved.config)  # before TensorFlow is imported
            from rnncli.inference.predictor import TrainedRun

            self._run = TrainedRun(saved, ready, others)

    def __repr__(self) -> str:
        config = self.config
        return (
            f"<rnncli.Run {self.path}: {config.model.type} ({name_of(config.model.cell)}), task {config.task.type}>"
        )

    def _repr_html_(self) -> str:
        """Return a table of what was loaded, for notebooks."""
        facts = {
            "run": str(self.path),
            "task": self.config.task.type,
            "model": f"{self.config.model.type} ({name_of(self.config.model.cell)})",
            "parameters": f"{self._run.model.network.count_params():,}",
            "weights": f"epoch {self.epoch}, step {self.step:,}",
            **{name: f"{value:.4g}" for name, value in self.best.items() if name != "epoch"},
        }
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(fact)}</td></tr>" for name, fact in facts.items())
        return f"<table>{rows}</table>"

    @property
    def vocabulary(self) -> Vocabularies:
        """The symbols of sources and targets: `run.vocabulary.source.encode("AB")`, `.decode([0, 1])`, `.symbols`."""
        return Vocabularies(self._run.task.source_vocabulary, self._run.task.target_vocabulary)

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The metrics of each epoch that training has recorded."""
        return read_metrics(RunDir(self.path))

    def summary(self) -> str:
        """Return the table of layers, as `rnncli summary` prints it."""
        from rnncli.models.summary import describe

        return describe(self._run.model)

    @scoped_settings()
    def evaluate(self, examples: str | os.PathLike[str] | Sequence[str] | None = None) -> Evaluation:
        """Measure the model as `rnncli evaluate` does, with greedy decoding.

        Args:
            examples: A file as for `rnncli evaluate --input`, or its lines; None is the held-out data.

        Returns:
            The metrics with their 95% confidence intervals, and those of every kind of group.

        Raises:
            rnncli.errors.InputError: There are no such examples, or they have changed since training.
        """
        from rnncli.inference.held_out import Answers
        from rnncli.runs.held_out import recorded_examples

        found = recorded_examples(self._saved) if examples is None else _examples_in(self._run.task, examples)
        return Answers.by(self._run, self._saved, found).evaluation

    @scoped_settings()
    def states(
        self,
        sources: Sequence[str],
        *,
        layers: str | Sequence[str] = (),
        which: str | Sequence[str] = (),
        teacher_forced: bool = False,
    ) -> dict[str, NDArray[Any]]:
        """Return the states after every step, as `rnncli export-states` writes them to an npz file.

        Args:
            sources: As for `rnncli predict`.
            layers: Prefixes of layers, such as `encoder/0`; empty is all.
            which: Names of states per step, `output` for the outputs of layers, `final` for the final states; empty
                is all but `output`.
            teacher_forced: True if each source has a tab and the target behind it, which the decoder then reads.

        Returns:
            float32 [sources, steps, units] by name, such as `encoder/0/forward/h`, zero behind the end of a row;
            float32 [sources, units] of final states; `source_lengths` and `target_lengths`, int32 [sources].

        Raises:
            rnncli.errors.InputError: The model does not have a chosen layer or state.
            rnncli.errors.DataError: A source is invalid.
        """
        from rnncli.inference.state_export import Exporter, Selection, collect

        self._refuse_ensemble("states")
        lines = _as_lines(sources)
        if not lines:
            raise InputError("sources: none given")
        exporter = Exporter(self._run, Selection(_as_names(layers), _as_names(which)), teacher_forced)
        return collect(exporter.batches(lines, "sources"), exporter.spec)

    @scoped_settings()
    def encode(self, sources: Sequence[str]) -> States:
        """Return the encoder's final states; of an encoder-decoder, the initial states of its decoder.

        A stateful model reads as `predict` does without states.

        Args:
            sources: As for `rnncli predict`.

        Returns:
            float32 [sources, units] by name, to pass to `predict` as `initial_state`.

        Raises:
            rnncli.errors.DataError: A source is invalid.
        """
        sources = _as_lines(sources)
        if not sources:
            raise InputError("sources: none given")
        return self._run.final_states(sources, "sources")

    @scoped_settings()
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
        top_k: int | None = None,
        top_p: float | None = None,
        attention: bool = False,
    ) -> list[Prediction]:
        """Predict the target of each source.

        An invalid source gives a prediction with `error` and an empty text.

        Args:
            sources: As for `rnncli predict`, but a text as it is: line ends and backslashes are not escaped.
            initial_state: States to start from, float32 [sources, units] by name; with them every source must be
                valid, and decoding is greedy. None is the encoder's final states, or zeros. A stateful model without
                them predicts as `rnncli predict` does: source n continues from source n minus the batch size, the
                first ones start as an epoch of training does, and every source must be valid.
            beam: Beam width; 1 is greedy decoding.
            n_best: Hypotheses to return for each source: the best of the beam, or this number of samples.
            length_penalty: Exponent of the length penalty of beam search; see `rnncli predict --length-penalty`.
            max_length: Maximum length of a prediction, end-of-sequence included; None is the longest target in
                training.
            sample: True to sample from the model instead of decoding greedily.
            temperature: Softmax temperature of sampling.
            seed: Random seed of sampling. The samples of a source depend on it and on the source's place alone.
            top_k: Sample only from so many most probable symbols.
            top_p: Sample only from the most probable symbols that together have this probability.
            attention: True to return the attention weights.

        Raises:
            rnncli.errors.InputError: The states or the options do not fit the model, or each other.
            rnncli.errors.DataError: A source is invalid, where all must be valid.
        """
        sources = _as_lines(sources)
        options = DecodingOptions(beam, n_best, length_penalty, max_length, sample, temperature, seed, top_k, top_p)
        options.check(self.config.model)
        if attention and not self._run.attends:
            raise InputError("attention: needs models with attention")
        if initial_state is None and self._run.first_states:
            answers = self._run.predict_carrying(sources, "sources", self._run.first_states)
            return [prediction for batch, _ in answers for prediction in batch]
        if initial_state is None:
            return self._run.predict(sources, options, attention=attention)
        if options != DecodingOptions() or attention:
            raise InputError("initial_state: only greedy decoding without attention continues from states")
        states = self._checked(initial_state, self._run.decoder.state_spec, len(sources))
        return self._run.predict_from(sources, "sources", 1, states)[0]

    @scoped_settings()
    def score(self, lines: Sequence[str], prime: str = "\n") -> list[TargetScore]:
        """Return the log probability of given targets, symbol by symbol (forced decoding).

        Args:
            lines: A source, a tab and the target each, as for `rnncli score`; for models of texts, texts as they are.
            prime: For models of texts, the text that stands before each.

        Returns:
            A score for each line: `score`, the sum of the natural logarithms, and `symbols`, each with its own; an
            invalid line has `error`.
        """
        from rnncli.inference.target_scores import TargetScorer

        return TargetScorer(self._run.decoder, self._run.task, prime).score(_as_lines(lines))

    def generate(
        self,
        prime: str | Sequence[str] = "\n",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        stop: str | None = None,
        initial_state: States | None = None,
        position: int = 0,
    ) -> GeneratedText:
        """Write text with a language model: return an iterator of pieces of text, while they are written.

        Args:
            prime: The text to go on from, or several, which are written side by side. With `initial_state` it may be
                empty.
            length: Symbols to write.
            temperature: Softmax temperature; 0 always takes the most probable symbol.
            top_k: Sample only from so many most probable symbols.
            top_p: Sample only from the most probable symbols that together have this probability.
            seed: Random seed; with the places in the text it determines the samples.
            stop: End after this text.
            initial_state: States to start from, float32 [primes, units] by name, such as `state` of an earlier text
                or those of `encode`; None starts as a new text.
            position: Symbols that were sampled before these states, which the random numbers go on from; an earlier
                text then goes on with the bits that it would have had if it had been longer.

        Raises:
            rnncli.errors.InputError: The model is none of a text, or an option or the states do not fit.
            rnncli.errors.DataError: A prime is not text.
        """
        options = GenerationOptions(length, temperature, top_k, top_p, seed, stop)
        return GeneratedText(self, prime, options, initial_state, position)

    @scoped_settings()
    def unroll(self, inputs: NDArray[Any], state: States | None = None) -> tuple[NDArray[np.float32], States]:
        """Run the recurrent layers that read the source, over any number of steps.

        Called again with the states that it returned, it goes on: for a burn-in, or step by step.

        Args:
            inputs: Ids, int [rows, steps], or where steps are numbers, float [rows, steps, features]. With
                `task.features: encoder` each row begins with `task.max_features` ids of features, padded with 0;
                with `task.texts: 2`, with `task.max_length` ids of the first text, whose final states are those that
                the second is read from.
            state: Initial states by name, as returned by an earlier call; None is the cells' own, mostly zeros.

        Returns:
            The last layer's outputs, float32 [rows, steps, width], and the states after the last step, float32
            [rows, units] by name.

        Raises:
            rnncli.errors.InputError: The states do not fit the model or the rows, or an id is not in the vocabulary.
        """
        import tensorflow as tf

        self._refuse_ensemble("unroll")
        model = self._run.model
        read, initial = self._checked_inputs(inputs), None
        if state is not None:
            spec = model.reader.stack.state_spec
            state = self._checked(state, spec, len(read))
        with tf.device(self._run.decoder.runtime.device):
            if state is not None:
                initial = {name: tf.constant(value) for name, value in state.items()}
            outputs, final = model.unroll(tf.constant(read), initial)
        return outputs.numpy(), {name: value.numpy() for name, value in final.items()}

    @scoped_settings()
    def keras_model(self) -> keras.Model:
        """Return the model as plain Keras layers with the same weights, apart from the run.

        It maps `source`, ids, and `lengths` to the ids, scores and final states of greedy predictions.

        Raises:
            rnncli.errors.InputError: The cell is a custom one, which is no plain Keras layer, the model copies from
                its source, has monotonic attention or an encoder of features, or reads two texts, or this is an
                ensemble.
        """
        from rnncli.export.exporter import refuse_model
        from rnncli.export.plain_keras import plain_model

        self._refuse_ensemble("keras_model")
        refuse_model(self._saved, "keras")
        if isinstance(self.config.model.cell, CustomCell):
            raise InputError(f"{self.path}: model.cell: {name_of(self.config.model.cell)} is no plain Keras layer")
        return plain_model(self._run.model, self.config)

    @scoped_settings()
    def export(
        self, path: str | os.PathLike[str], form: str = "onnx", *, overwrite: bool = False, weights: str = "float32"
    ) -> Path:
        """Write the model for other runtimes, as `rnncli export` does.

        Args:
            path: The file or folder.
            form: `onnx`, `savedmodel`, `keras` or `litert`.
            overwrite: True to replace an export in this format.
            weights: The type of the weights: `float32`, or in litert `float16` or `int8`.

        Returns:
            The path.

        Raises:
            rnncli.errors.InputError: The format cannot hold the model, a package is missing, the path is there, or
                this is an ensemble.
        """
        from rnncli.export.exporter import export
        from rnncli.export.formats import EXPORTS

        self._refuse_ensemble("export")
        if form not in EXPORTS:
            raise InputError(f"export: {shorten(repr(form))} is not a format", f"choose from {', '.join(EXPORTS)}")
        export(replace(self._saved, weights=self._run.model.arrays()), form, Path(path), overwrite, weights)
        return Path(path)

    def stepper(self, batch: int = 1) -> Stepper:
        """Return the recurrent layers that read the source, to be run one time step a call with their states kept.

        A step costs microseconds, where a call of `unroll` costs milliseconds: for agents that act step by step.

        Args:
            batch: Number of rows, each with a state of its own.

        Raises:
            rnncli.errors.InputError: The model reads in both directions or has an encoder of features, or `batch` is
                not positive.
        """
        from rnncli.inference.stepper import Stepper

        self._refuse_ensemble("stepper")
        numbers = self._run.task.sizes.features is not None
        vocabulary = None if numbers else self._run.task.source_vocabulary
        return Stepper(self._run.model, vocabulary, batch, self._run.decoder.runtime.device)

    def _refuse_ensemble(self, method: str) -> None:
        """Refuse what is of one model only."""
        if self._of_ensemble:
            raise InputError(f"{method}: of one run, not of an ensemble", "load each run alone")

    def _checked_inputs(self, inputs: NDArray[Any]) -> NDArray[Any]:
        sizes, dtype = self._run.task.sizes, self._run.model.source_dtype
        try:
            read = np.asarray(inputs)
            if read.dtype.kind not in ("iu" if dtype == "int32" else "iufb"):
                raise ValueError
            read = read.astype(dtype)
        except (ValueError, TypeError) as error:
            hint = "run.vocabulary.source.encode(TEXT) returns the ids of a text" if dtype == "int32" else ""
            kind = "ids" if dtype == "int32" else "numbers"
            raise InputError(f"inputs: not an array of {kind}", hint) from error
        ends = () if sizes.features is None else (sizes.features,)
        if read.ndim != 2 + len(ends) or read.shape[2:] != ends or not read.size:
            wanted = ", ".join(["rows", "steps", *map(str, ends)])
            raise InputError(f"inputs are {list(read.shape)}, not [{wanted}] with a row and a step at least")
        if read.shape[1] <= sizes.tags:
            first, rest = ("of the first text", "second text") if sizes.first_symbols else ("of features", "source")
            what = f"inputs have {read.shape[1]} steps, and the first {sizes.tags} are ids {first}"
            raise InputError(what, f"give {sizes.tags} ids {first}, padded with 0, and then the {rest}")
        if dtype == "int32" and not 0 <= read.min() <= read.max() < sizes.source_symbols:
            raise InputError(f"inputs: ids must be from 0 to {sizes.source_symbols - 1}")
        if sizes.first_symbols:
            _check_two_texts(read, sizes)
        return read

    @staticmethod
    def _checked(states: States, spec: dict[str, tuple[int, ...]], rows: int) -> States:
        """Return the states as float32 arrays; refuse those that do not fit the spec for this number of rows."""
        try:
            arrays = {name: np.asarray(value, np.float32) for name, value in states.items()}
        except (TypeError, ValueError) as error:
            raise InputError(f"initial states: not arrays of numbers: {error}") from error
        check_arrays(arrays, {name: ArraySpec((rows, *shape)) for name, shape in spec.items()}, "initial states")
        return arrays


class GeneratedText(Iterator[Any]):
    """A text while a model writes it, made by `Run.generate`: iterates over its pieces as they come.

    Each piece is a string; of several texts, a list with what is new of each.
    """

    def __init__(
        self,
        run: Run,
        prime: str | Sequence[str],
        options: GenerationOptions,
        initial_state: States | None,
        position: int,
    ) -> None:
        self._one = isinstance(prime, str)
        primes = _as_lines([prime] if isinstance(prime, str) else prime)
        if not primes:
            raise InputError("prime: none given")
        with scoped_settings():
            from rnncli.inference.generation import TextStream

            generator, before = run._run.generator, None
            if initial_state is not None:
                states = Run._checked(initial_state, run._run.model.state_spec, len(primes))
                before = generator.go_on(states, [position] * len(primes))
            self._stream = TextStream(generator, primes, options, before)

    @scoped_settings()
    def __next__(self) -> Any:
        """Write on; return what is new."""
        new = next(self._stream)
        return new[0] if self._one else new

    @property
    def text(self) -> Any:
        """The text written so far, without the prime: a string, or a list of several."""
        return self._stream.texts[0] if self._one else list(self._stream.texts)

    @property
    def state(self) -> States:
        """The states after what was written so far, float32 [texts, units] by name."""
        return self._stream.now.state


def train(
    config: str | os.PathLike[str] | Mapping[str, Any] | Config | None,
    overrides: Sequence[str],
    run_dir: str | os.PathLike[str] | None,
    callbacks: Sequence[keras.callbacks.Callback],
    resume: bool,
    progress: bool,
    init_from: str | os.PathLike[str] | None,
    allow_changed_data: bool,
    trust_code: bool,
) -> Run:
    """Train a model; see `rnncli.train`."""
    note = _show if progress else _drop
    overrides = _as_names(overrides)
    if isinstance(config, str | os.PathLike):
        config = find_config(os.fspath(config))
    if init_from is not None:
        overrides = [*overrides, _start_from(Path(init_from), resume)]
    path = os.fspath(config) if isinstance(config, str | os.PathLike) else None
    origin = Origin(path, tuple(overrides))
    if resume:
        if run_dir is None:
            raise InputError("rnncli.train: resume needs run_dir, the run to resume")
        given = path if config is None or path is not None else _config_of(config, overrides)
        job = TrainingJob.resume(
            Path(run_dir),
            given,
            overrides,
            allow_changed_data=allow_changed_data,
            trust_code=trust_code,
            warn=warn_user,
            note=note,
            origin=origin,
            cluster=ALONE,
        )
    else:
        if config is None:
            raise InputError("rnncli.train: give a config, or run_dir and resume=True")
        if allow_changed_data:
            raise InputError("rnncli.train: allow_changed_data: only with resume")
        code = config_search_path(path or "-", trust_code)
        inputs = TrainingInputs.read(_config_of(config, overrides), code, note=note)
        job = TrainingJob.new(inputs, None if run_dir is None else Path(run_dir), origin)
    with job as training:
        ended = training.run(callbacks, progress=progress, warn=warn_user, note=note)
        best, directory = training.directory.newest_state().best, training.directory
    from rnncli.training.interruption import Stopped

    if isinstance(ended, Stopped) and ended.signal is not None:
        signal.raise_signal(ended.signal)  # as the process handles it when it does not train: a checkpoint is written
    # the class of a custom cell was imported to train
    return Run(directory.path, training.config.runtime.device, trust_code=True, checkpoint=BEST if best else LAST)


def _start_from(run: Path, resume: bool) -> str:
    """Return the override by which training starts from the weights of a run."""
    if resume:
        raise InputError("rnncli.train: init_from and resume exclude each other")
    return f"training.init_from={json.dumps(str(find_run(run)), ensure_ascii=False)}"


def _config_of(config: str | os.PathLike[str] | Mapping[str, Any] | Config, overrides: Sequence[str]) -> Config:
    if isinstance(config, Config):
        return parse_config(dump_config(config), "config", overrides) if overrides else config
    if isinstance(config, Mapping):
        return parse_config(write_yaml(dict(config)), "config", overrides)
    return load_config(config, overrides)


def _as_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return names as a tuple; a string is one name."""
    return (names,) if isinstance(names, str) else tuple(names)


def _examples_in(task: Task, given: str | os.PathLike[str] | Sequence[str]) -> Examples:
    """Return the examples in a file, or in its lines."""
    if not isinstance(given, str | os.PathLike):
        lines = _as_lines(given)
        if isinstance(task, CutsText):
            return task.windows_of("".join(f"{line}\n" for line in lines), "examples")
        return read_examples(task, lines, "examples", leave_out=True)
    name = os.fspath(given)
    if isinstance(task, CutsText):
        return task.windows_of(read_given_texts(name), name)
    return read_examples(task, read_lines(name), name, leave_out=True)


def _as_lines(sources: Sequence[str]) -> list[str]:
    """Return sources as a list; a string alone is refused: nobody means as many as it has characters."""
    if isinstance(sources, str):
        shown = shorten(repr(sources))
        raise InputError(f"sources: {shown} is one string, not a list of strings", f"write [{shown}]")
    if not isinstance(sources, Iterable):
        raise InputError(f"sources: {shorten(repr(sources))} is not a list of strings")
    lines = list(sources)
    if wrong := [line for line in lines if not isinstance(line, str)]:
        raise InputError(f"sources: {shorten(repr(wrong[0]))} is not a string")
    return lines


def _show(message: str) -> None:
    print(printable(message), file=sys.stderr)


def _drop(_message: str) -> None:
    """Print nothing."""


def _check_two_texts(read: NDArray[Any], sizes: Sizes) -> None:
    """Refuse ids of two texts, int [rows, steps], that no pair of texts has.

    Raises:
        InputError: An id belongs to the other text, or the first text is empty or has padding within.
    """
    first, second = read[:, : sizes.tags], read[:, sizes.tags :]
    if second.max() >= sizes.second_symbols:
        raise InputError(f"inputs: ids of the second text must be from 0 to {sizes.second_symbols - 1}")
    if ((first >= SHARED_IDS) & (first < sizes.second_symbols)).any():
        wanted = f"from {sizes.second_symbols} to {sizes.source_symbols - 1}"
        raise InputError(f"inputs: ids of the first text must be below {SHARED_IDS} or {wanted}")
    if not (first[:, 0] > 0).all() or ((first[:, :-1] == 0) & (first[:, 1:] != 0)).any():
        raise InputError("inputs: the first text is empty or has padding within", "pad it with 0 at its end")
