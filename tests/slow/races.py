"""Let processes race for one run directory, and see that nobody loses what he has written.

    python tests/slow/races.py [--races 500] [--processes 4]

Kinds of races, in turn: new starts with a path that does not exist; with an empty directory; starts that fail before
their first checkpoint; starts while somebody removes the lock file over and over; starts against `--resume` of a run;
and of a run that was killed before its first checkpoint. A loss is a file of a winner that is gone or another's, or a
race without a winner. The exit status is 1 if there is one.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from rnncli.config import dump_config, parse_config
from rnncli.data.tasks import build_task
from rnncli.errors import RnncliError
from rnncli.runs.checkpoints import OPTIMIZER, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import LOCK
from rnncli.training.job import TrainingJob

CONFIG = parse_config("{task: {type: addition, digits: 1, examples: 40, held_out: 8}, model: repeat_vector}", "races")
KINDS = ("new", "empty directory", "failing", "lock file removed", "against resume", "against starting over")


def save(run, step):
    """Write a checkpoint whose weights tell the step."""
    arrays = {WEIGHTS: {"kernel": np.full(4, step, np.float32)}, OPTIMIZER: {}}
    run.save_checkpoint(TrainState(step=step), arrays, best=False)


def prepare(path, kind):
    """Make what the race begins with."""
    if kind == "empty directory":
        path.mkdir()
    if kind.startswith("against"):
        run = RunDir.create(path, CONFIG)
        task = build_task(CONFIG)
        run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
        run.write_manifest({"config": dump_config(CONFIG)})
        if kind == "against resume":
            save(run, 1)


def start(path, kind, rng):
    """Start a new run; return what became of it."""
    with RunDir.claim(path, CONFIG) as run:
        run.append_metrics({"epoch": 1, "pid": os.getpid()})
        time.sleep(rng.choice([0, 0.001, 0.01]))
        if kind == "failing":
            raise KeyError("it fails before its first checkpoint")
        save(run, 1)
        lines = [json.loads(line)["pid"] for line in (path / "metrics.jsonl").read_text().splitlines()]
        return "won" if lines == [os.getpid()] else "mixed"


def resume(path, rng):
    """Resume a run by one step."""
    with TrainingJob.resume(path, allow_changed_data=True) as job:
        before = job.resume_point.checkpoint.step if job.resume_point else 0
        if not before:
            task = build_task(CONFIG)
            job.directory.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
            job.directory.write_manifest({"config": dump_config(CONFIG)})
        time.sleep(rng.choice([0, 0.001, 0.01]))
        save(job.directory, before + 1)
        return "resumed"


def race(number, folder, barrier, answers, races):
    """Take part in all races."""
    rng = random.Random(number)
    for index in range(races):
        kind, path = KINDS[index % len(KINDS)], folder / str(index)
        if number == 0:
            prepare(path, kind)
        barrier.wait()
        ended = threading.Event()
        if kind == "lock file removed" and number == 0:
            threading.Thread(target=remove_lock, args=(path, ended)).start()
        time.sleep(rng.choice([0, 0, 0.0005, 0.002]))
        try:
            resumes = kind.startswith("against") and number % 2
            answer = resume(path, rng) if resumes else start(path, kind, rng)
        except KeyError:
            answer = "failed"
        except RnncliError:
            answer = "refused"
        except BaseException as error:  # which is a loss
            answer = f"{type(error).__name__}: {error}"
        answers.put((index, answer))
        barrier.wait()
        ended.set()


def remove_lock(path, ended):
    """Remove the lock file of a run again and again."""
    while not ended.is_set():
        with contextlib.suppress(OSError):
            (path / LOCK).unlink()
        time.sleep(0.0001)


def loss(path, kind, answers):
    """Return what was lost in a race, or None."""
    count = collections.Counter(answers)
    if count.keys() - {"won", "resumed", "refused", "failed"}:
        return f"answers {dict(count)}"
    if kind == "failing":
        return "files are left" if path.exists() and list(path.iterdir()) else None
    if kind.startswith("against"):
        wanted = count["resumed"] + (kind == "against resume")
        alone = not count["won"] and count["resumed"] > 0
    else:
        wanted, alone = 1, count["won"] == 1 and not count["resumed"]
    if not alone:
        return f"answers {dict(count)}"
    found, wrong = RunDir(path).checkpoints.newest_sound()
    if wrong or found is None or found.step != wanted or not (found.arrays[WEIGHTS]["kernel"] == wanted).all():
        return f"the newest checkpoint is not of step {wanted}"
    return "the lock is left" if (path / LOCK).exists() else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=500)
    parser.add_argument("--processes", type=int, default=4)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(options.processes), context.Queue()
    losses, ended = 0, collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        arguments = Path(folder), barrier, answers, options.races
        racers = [context.Process(target=race, args=(number, *arguments)) for number in range(options.processes)]
        for racer in racers:
            racer.start()
        for _ in range(options.races * options.processes):
            index, answer = answers.get(timeout=120)
            ended[index].append(answer)
        for racer in racers:
            racer.join()
        tally = collections.defaultdict(collections.Counter)
        for index in range(options.races):
            kind = KINDS[index % len(KINDS)]
            tally[kind].update(ended[index])
            if problem := loss(Path(folder) / str(index), kind, ended[index]):
                losses += 1
                print(f"race {index}, {kind}: {problem}")
    for kind, count in tally.items():
        print(f"{kind}: {dict(count)}")
    print(f"{options.races} races, {losses} losses")
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
