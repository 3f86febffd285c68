"""One training run, from a config to a trained run directory.

The `rnncli` command, `rnncli.train` and the checks of resuming all train by it. TensorFlow is imported when training
begins, so that whatever can be refused without it is refused before.

>>> inputs = TrainingInputs.read(load_config("config.yaml"))
>>> with TrainingJob.new(inputs) as job:
...     outcome = job.run()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.cluster.layout import ALONE, Cluster
from rnncli.config import Config, describe_differences, load_config, refuse_differences
from rnncli.data.tasks import build_task
from rnncli.errors import InputError, RnncliError, RunDirError
from rnncli.runs.averaging import refuse_resumed_average
from rnncli.runs.directory import RunDir
from rnncli.runs.naming import default_name
from rnncli.runs.provenance import SPLITS, refuse_other_data
from rnncli.runs.resume import ResumePoint, find_resume_point, refuse_folder, repair_pointers, start_over
from rnncli.runs.sessions import FINISHED, NO_ORIGIN, Origin, SessionRecorder, record_finished
from rnncli.runtime.tensorflow_setup import scoped_settings
from rnncli.runtime.user_code import config_search_path
from rnncli.text import summarize_error
from rnncli.training.inputs import Report, TrainingInputs, ignore, refuse_missing_packages
from rnncli.training.joining import START_SECONDS, start_runtime

if TYPE_CHECKING:
    import keras

    from rnncli.training.interruption import Stop, Stopped
    from rnncli.training.loop import Outcome


class TrainingJob:
    """A training run in a directory that it holds the lock of; made by `new` or `resume`.

    Attributes:
        config: The config.
        directory: The run directory.
        inputs: The config and its data; None if the run has finished already.
        resume_point: The checkpoint to resume from; None trains from the beginning.
        cluster: The processes that train together, of which this one leads and writes; see `follow` for the others.
    """

    def __init__(
        self,
        config: Config,
        directory: RunDir,
        inputs: TrainingInputs | None = None,
        resume_point: ResumePoint | None = None,
        origin: Origin = NO_ORIGIN,
        cluster: Cluster = ALONE,
    ) -> None:
        self.config, self.directory, self.inputs, self.resume_point = config, directory, inputs, resume_point
        self.origin, self.cluster = origin, cluster

    @classmethod
    @contextmanager
    def new(
        cls,
        inputs: TrainingInputs,
        run_dir: Path | None = None,
        origin: Origin = NO_ORIGIN,
        cluster: Cluster = ALONE,
    ) -> Iterator[TrainingJob]:
        """Make a run directory, which is removed again if the block fails before there is a checkpoint.

        Args:
            inputs: The config and its data.
            run_dir: A new or empty directory; None is a new dated name under `runs/`.
            origin: The config file and what was overridden, which that name has, and the manifest records.
            cluster: The processes that train together.

        Raises:
            RunDirError: Something is there already, or the directory cannot be made.
            RunFailedError: Another process trains there.
        """
        name = default_name(inputs.config, origin.config_path, origin.overrides)
        with RunDir.claim(run_dir, inputs.config, name) as directory:
            yield cls(inputs.config, directory, inputs, origin=origin, cluster=cluster)

    @classmethod
    @contextmanager
    def resume(
        cls,
        run: Path,
        config: Config | str | None = None,
        overrides: Sequence[str] = (),
        *,
        allow_changed_data: bool = False,
        trust_code: bool = False,
        warn: Report = ignore,
        note: Report = ignore,
        origin: Origin = NO_ORIGIN,
        cluster: Cluster = ALONE,
    ) -> Iterator[TrainingJob]:
        """Resume a run from its newest valid checkpoint.

        Args:
            run: The run directory.
            config: A config or its path that differs only in what may differ; None is that of the run.
            overrides: `KEY.PATH=VALUE`, each in place of what a path or the run says.
            allow_changed_data: True to go on with other data than the run was trained on.
            trust_code: True to import the classes of a custom cell and of callbacks from the run.
            warn: Is given what the user must know.
            note: Is given the config keys that differ, what is odd about the data, and where training resumes.
            origin: The config file and the command line, which the manifest records.
            cluster: The processes that train together.

        Yields:
            The job, which has nothing to do if the run has finished already.

        Raises:
            InputError: There is no run to resume, or not with this config and this data.
            RunFailedError: Another process trains there.
        """
        directory = RunDir(run)
        directory.read_config()  # refuses what is no run, before a lock is written there
        refuse_folder(directory)
        refuse_resumed_average(directory)
        with directory.locked() as taken_over:
            if taken_over:
                warn(taken_over)
            config = _resumed_config(directory, config, overrides, note)
            search_path = directory.search_path(config.training_code, trust_code)
            task = directory.read_task(config) if directory.trained else build_task(config)
            point = find_resume_point(directory, config, task)
            for message in point.notes if point else ():
                warn(message)
            if point is not None and point.state.finished(config.training):
                repaired = repair_pointers(directory, point)
                record_finished(directory)
                with suppress(OSError):
                    directory.remove_leftovers()
                done = "repaired the pointer to its last checkpoint" if repaired else "nothing to do"
                warn(f"{run}: training is already finished (epoch {point.state.epoch}); {done}")
                if early := point.state.early_end(config.training):
                    warn(early)
                yield cls(config, directory)
                return
            inputs = TrainingInputs.read(config, search_path, task, note, begins=point is None)
            if point is None:
                start_over(directory, config)
            elif not allow_changed_data:
                refuse_other_data(directory, inputs.splits)
            place = f"after step {point.checkpoint.step}" if point else "from the start: it has no checkpoint"
            note(f"{run}: resuming {place}")
            yield cls(config, directory, inputs, point, origin, cluster)

    @classmethod
    @contextmanager
    def resume_with(cls, inputs: TrainingInputs, run: Path) -> Iterator[TrainingJob]:
        """Resume a run whose config and data are in memory, such as one that this process has just interrupted.

        Without a checkpoint it starts again.

        Args:
            inputs: The config and data that the run was made with.
            run: The run directory.

        Raises:
            RunDirError: None of its checkpoints is valid.
            RunFailedError: Another process trains there.
        """
        directory = RunDir(run)
        with directory.locked():
            point = find_resume_point(directory, inputs.config, inputs.task)
            if point is None:
                start_over(directory, inputs.config)
            yield cls(inputs.config, directory, inputs, point)

    def run(
        self,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        *,
        progress: bool = False,
        stop: Stop | None = None,
        warn: Report = ignore,
        note: Report = ignore,
        start_timeout: float = START_SECONDS,
    ) -> Outcome | Stopped | None:
        """Train until the end, or until told to stop by SIGTERM, SIGINT or SIGHUP, or by `stop`.

        Returns None if the run has finished already.

        Args:
            callbacks: Keras callbacks; `on_train_batch_end` comes once a call of several steps.
            progress: True to show progress on stderr.
            stop: Says when to stop before the end.
            warn: Is given the reasons for which a resumed run may not be bit-identical, and workers that are late.
            note: Is given what is taken of the weights to start from.
            start_timeout: Seconds that workers wait for each other at the start.

        Raises:
            InputError: The weights to start from do not fit the model.
            RunFailedError: The loss is not finite any more, a checkpoint cannot be written, or a worker is gone; the
                checkpoints before stay.
        """
        inputs = self.inputs
        if inputs is None:
            return None
        if inputs.config.runtime.workers > self.cluster.count:
            warn(
                f"runtime.workers: {inputs.config.runtime.workers}, but only the command rnncli train starts workers"
            )
        from_step = self.resume_point.state.step if self.resume_point else 0
        counts = dict(zip(SPLITS, map(len, inputs.splits), strict=True))
        with scoped_settings(), SessionRecorder(self.directory, self.origin, from_step, counts) as session:
            runtime = start_runtime(inputs, self.cluster, start_timeout, warn)
            from rnncli.training.interruption import Stop
            from rnncli.training.loop import Hooks, Outcome, train
            from rnncli.training.progress import SessionBegin, progress_of

            shown = [progress_of(inputs.config, inputs.splits)] if progress else []
            hooks = Hooks([*shown, SessionBegin(session), *callbacks], stop or Stop(), warn, note)
            with runtime.group.explained():
                outcome = train(inputs, self.directory, runtime, self.resume_point, hooks)
                if isinstance(outcome, Outcome) and self.directory.newest_state().finished(inputs.config.training):
                    session.state = FINISHED
                if inputs.config.training.export is not None and isinstance(outcome, Outcome):
                    self._export(inputs.config.training.export, warn)
                runtime.group.finish()
            return outcome

    def _export(self, form: str, warn: Report) -> None:
        """Write the best checkpoint in a format, and compare its answers; a warning says what goes wrong."""
        from rnncli.export.comparison import compare_with_run, runtime_problem
        from rnncli.export.exporter import export_into_run

        path, undone = self.directory.path, "not exported"
        try:
            saved = self.directory.load()
            path, undone = export_into_run(saved, form), "not compared with the run"
            problem = runtime_problem(form)
            if not problem and (comparison := compare_with_run(saved, form, path)).equal < comparison.total:
                problem = str(comparison)
        except Exception as error:  # training is finished, whatever becomes of its export
            reason = error.message if isinstance(error, RnncliError) else summarize_error(error)
            problem = f"{undone}: {reason}"
        if problem:
            warn(f"{path}: {problem}")


def follow(
    inputs: TrainingInputs, cluster: Cluster, *, warn: Report = ignore, start_timeout: float = START_SECONDS
) -> Outcome | Stopped:
    """Train as a worker that is not the first one, which writes nothing; see `TrainingJob.run` for the arguments.

    What the run resumes from comes from the first worker.

    Raises:
        RunFailedError: As of `TrainingJob.run`.
    """
    with scoped_settings():
        runtime = start_runtime(inputs, cluster, start_timeout, warn)
        from rnncli.training.interruption import Stop
        from rnncli.training.loop import Hooks, train

        with runtime.group.explained():
            outcome = train(inputs, None, runtime, None, Hooks((), Stop(), warn))
            runtime.group.finish()
        return outcome


def read_resumed(
    run: Path, config_path: str | None, overrides: Sequence[str], *, trust_code: bool = False
) -> TrainingInputs | None:
    """Return the config and the data to follow the first worker with, which resumes a run; None if it has finished.

    Nothing is written. Where this machine has no copy of the run, the config must be given.

    Args:
        run: The run directory.
        config_path: A config in place of that of the run; None is that of the run.
        overrides: `KEY.PATH=VALUE`, each in place of what the config says.
        trust_code: True to import the class of a custom cell from the run.

    Raises:
        InputError: There is no run and no config, or it cannot be resumed with it.
    """
    directory = RunDir(run)
    try:
        directory.read_config()
    except RunDirError as error:
        if config_path is None:
            raise InputError(
                f"{error.message}, which this worker reads the config from",
                "use a directory that all workers see, or name the config too: rnncli train CONFIG --resume RUN",
            ) from error
        given = load_config(config_path, overrides)
        return TrainingInputs.read(given, config_search_path(config_path), begins=False)
    refuse_resumed_average(directory)
    config = _resumed_config(directory, config_path, overrides, ignore)
    task = directory.read_task(config) if directory.trained else build_task(config)
    point = find_resume_point(directory, config, task)
    if point is not None and point.state.finished(config.training):
        return None
    search_path = directory.search_path(config.training_code, trust_code)
    return TrainingInputs.read(config, search_path, task, begins=point is None)


def _resumed_config(directory: RunDir, config: Config | str | None, overrides: Sequence[str], note: Report) -> Config:
    """Return the config to resume with; see `TrainingJob.resume`."""
    trained_config = directory.trained_config()
    if config is None:
        config = directory.read_config(overrides)
    elif not isinstance(config, Config):
        config = load_config(config, overrides, run=trained_config)
    refuse_differences(trained_config, config, str(directory.path))
    for difference in describe_differences(directory.read_config(), config).values():
        note(f"{directory.path}: {difference}")
    refuse_missing_packages(config)
    return config
