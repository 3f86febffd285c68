"""Read a run over and over while it trains, and see that nobody gets a mix of two checkpoints or a false alarm.

    python tests/slow/readers.py [--minutes 10] [--readers 2] [--pause 0.02]

A tiny stateful model is trained for an epoch. Then one process writes checkpoints of it, as training does, with
pauses of up to `--pause` seconds: all weights and carried states are the number of the step. Now and then it ends and
resumes. The others load the best and the last checkpoint and verify the run. The exit status is 1 if weights and
states are not of one step, or if reading or verifying fails.
"""

import argparse
import collections
import contextlib
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rnncli.errors import RnncliError
from rnncli.runs.checkpoints import LAST, LOSSES, STATES, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.lock import locked
from rnncli.runs.resume import find_resume_point, rollback_to_resume_point
from rnncli.runs.verification import Verification

CONFIG = """
task: {type: text, window: 5, windows: 48, held_out: 16}
model: {type: next_step, stateful: true, reset: never, units: 2}
training: {epochs: 1000000, batch_size: 8}
"""
RESUME_AFTER = 100
"""Checkpoints after which the writer ends and resumes."""


def train(path):
    """Train for an epoch, in a process of its own."""
    from rnncli import claim_process
    from rnncli.config import parse_config
    from rnncli.training.inputs import TrainingInputs
    from rnncli.training.interruption import Stop
    from rnncli.training.job import TrainingJob

    claim_process()
    with TrainingJob.new(TrainingInputs.read(parse_config(CONFIG, "readers")), path) as job:
        job.run(stop=Stop(6))


def write(path, pause, ended, answers):
    """Write checkpoints until told to end, with their logs, as training does."""
    rng, run, count = random.Random(1), RunDir(path), 0
    config = run.read_config()
    while not ended.is_set():
        with locked(path):
            point = find_resume_point(run, config, run.read_task(config))
            rollback_to_resume_point(run, point, config)
            state, arrays = point.state, point.checkpoint.arrays
            for _ in range(RESUME_AFTER):
                state = state.model_copy(update={"step": state.step + 1, "done": state.done + 1})
                for file in (WEIGHTS, STATES):
                    arrays[file] = {name: np.full_like(array, state.step) for name, array in arrays[file].items()}
                best = False
                if state.done == state.steps:
                    values = {**state.metrics, "epoch": state.epoch + 1, "step": state.step}
                    best = rng.random() < 0.3
                    state = state.model_copy(
                        update={"epoch": state.epoch + 1, "done": 0, "metrics": values}
                        | ({"best": values} if best else {})
                    )
                    run.append_metrics(values)
                arrays[LOSSES] = {"loss": np.zeros(state.done, np.float32)}
                written = {file: named for file, named in arrays.items() if file != LOSSES or state.done}
                run.save_checkpoint(state, written, best)
                count += 1
                if ended.wait(rng.uniform(0, pause)):
                    break
            if rng.random() < 0.5 and not ended.is_set():  # killed before the checkpoint of an epoch
                run.append_metrics({**state.metrics, "epoch": state.epoch + 1, "step": state.step + state.steps})
    answers.put(("writer", collections.Counter(checkpoints=count), []))


def read(number, path, ended, answers):
    """Load and verify until told to end."""
    rng, run, count, problems = random.Random(number), RunDir(path), collections.Counter(), []
    while not ended.is_set():
        which = rng.choice(["best", LAST])
        try:
            saved = run.load(which)
            steps = {float(array.flat[0]) for arrays in (saved.weights, saved.carried) for array in arrays.values()}
            if steps != {saved.checkpoint.step} and saved.checkpoint.step > FIRST:
                problems.append(f"mix: checkpoint {saved.checkpoint.step} with arrays of {steps}")
            if saved.newest is None:
                problems.append("the newest state cannot be read")
            count["loads"] += 1
            found = Verification(run)
            problems += [f"verify: {check.name}: {check.problem}" for check in found.checks if check.problem]
            count["verifications"] += 1
            count["checkpoints verified"] += len(found.checkpoints)
        except RnncliError as error:
            problems.append(f"load {which}: {error.message}")
    answers.put((f"reader {number}", count, problems))


FIRST = 6
"""The step of the checkpoint that was trained, whose weights are not its number."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.02)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ended, answers = context.Event(), context.Queue()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        trainer = context.Process(target=train, args=(path,))
        trainer.start()
        trainer.join()
        processes = [context.Process(target=write, args=(path, options.pause, ended, answers))]
        processes += [context.Process(target=read, args=(n, path, ended, answers)) for n in range(options.readers)]
        for process in processes:
            process.start()
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(options.minutes * 60)
        ended.set()
        for _ in processes:
            name, count, problems = answers.get(timeout=60)
            failed += len(problems)
            print(f"{name}: {dict(count)}")
            for problem, times in collections.Counter(problems).most_common(20):
                print(f"  {times} x {problem}")
        for process in processes:
            process.join()
            failed += process.exitcode != 0
        for check in Verification(RunDir(path)).checks:
            if check.problem:
                failed += 1
                print(f"at the end: {check.name}: {check.problem}")
    print(f"{failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
