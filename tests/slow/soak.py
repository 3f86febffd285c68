"""Train, kill, resume, predict, export, over and over: a script, for an hour or so.

`PYTHONPATH=. python tests/slow/soak.py --minutes 60`

Small configs are trained to the end once, and then again and again with kills in between, by SIGTERM and by SIGKILL,
at moments drawn from a seed. What was killed goes on by `rnncli train --resume RUN`, and must end with the weights by
`weights_digest`, metrics, predictions and states of the run that nobody killed. No process may leave a temporary
file, and what memory each kind of process needs at most must stay as it was. The table at the end tells it; the exit
status is 1 if anything was wrong.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "alphabet": ("training.epochs=60", ["ABC", "XYZ"]),
    "alphabet_stateful": ("training.epochs=40", ["ABC", "BCD", "CDE", "DEF", "EFG", "FGH"]),
    "addition": ("training.epochs=12 task.digits=2 task.examples=2000 task.held_out=100", ["1+2", "34+56"]),
    "documents": ("training.epochs=8 task.examples=400 task.held_out=100", ["good good bad film", "bad"]),
}
"""Name of a shipped config to keys that make it small, and sources to predict."""
KILLED = -signal.SIGKILL
ENDED = {signal.SIGTERM: (143, -signal.SIGTERM), signal.SIGKILL: (KILLED,)}
"""Exit statuses of what was killed; SIGTERM before training began ends a process as it ends any other."""
MOST_GROWTH = 1.10
"""Of the memory of a kind of process, from the first third of its runs to the last."""


def training(config, keys, run):
    """The arguments of a training from its start."""
    more = [f"--set={key}" for key in keys.split()]
    return "train", ROOT / f"configs/{config}.yaml", *more, "--run-dir", run, "--quiet"


def arrays_in(path):
    """The bytes of everything in an npz but its manifest, which names the run."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.npy"}


class Soak:
    """Training that is killed at random, and the differences that were found."""

    def __init__(self, folder, seed):
        self.folder, self.random = folder, random.Random(seed)
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.memory = defaultdict(list)  # megabytes at most, of each process of a kind
        self.wrong, self.kills, self.rounds = [], 0, 0
        self.seconds = {}  # that training takes if nobody kills it

    def rnncli(self, kind, config, *arguments, kill_after=None, by=signal.SIGTERM, wanted=(0,)):
        """Run a command; returns its exit status and what it printed."""
        environment = {**os.environ, "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            command = [sys.executable, "-m", "rnncli", *map(str, arguments)]
            began = time.monotonic()
            process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=self.folder)
            status, usage = self.waited(process, kill_after, by)
            self.memory[f"{kind} {config}{', killed' * (status != 0)}"].append(usage.ru_maxrss / 1024)
            out.seek(0)
            err.seek(0)
            said = err.read()
            if status not in wanted or "Traceback" in said:
                self.complain(f"{' '.join(command[2:])}: exit status {status}, wanted {wanted}: {said[-500:]}")
            # SIGKILL lets nobody clean up
            if left := [path.name for path in self.temporary.iterdir()]:
                if status != KILLED:
                    self.complain(f"{' '.join(command[2:])}: left {left} in the temporary directory")
                shutil.rmtree(self.temporary)
                self.temporary.mkdir()
            return status, out.read(), time.monotonic() - began

    @staticmethod
    def waited(process, kill_after, by):
        """The exit status of a process, killed if it takes too long, and what it used."""
        until = None if kill_after is None else time.monotonic() + kill_after
        while True:
            pid, status, usage = os.wait4(process.pid, 0 if until is None else os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode, usage
            if time.monotonic() >= until:
                process.send_signal(by)
                until = None
            time.sleep(0.02)

    def complain(self, what):
        self.wrong.append(what)
        print(f"WRONG {what}", flush=True)

    def result(self, config, run):
        """Return the parts of a finished run that must not depend on who killed it."""
        sources = CONFIGS[config][1]
        name = (run / "checkpoints/last").read_text().strip()
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        timeless = [{k: v for k, v in line.items() if "second" not in k} for line in lines]
        digest = json.loads((run / "checkpoints" / name / "checkpoint.json").read_text())["weights_digest"]
        predicted = self.rnncli("predict", config, "predict", run, *sources, "--quiet", "--format", "jsonl")[1]
        states = run.with_suffix(".npz")
        self.rnncli("export-states", config, "export-states", run, *sources, "--quiet", "--output", states)
        if leaked := [str(path) for path in run.rglob("*") if path.name.startswith(".")]:
            self.complain(f"{run}: left {leaked}")
        found = {"weights": digest, "metrics": timeless, "predictions": predicted, "states": arrays_in(states)}
        states.unlink()
        return found

    def train(self, config, keys, run):
        """Train without a kill."""
        self.seconds[config] = self.rnncli("train", config, *training(config, keys, run))[2]

    def train_with_kills(self, config, keys, run, kills):
        """Train, and resume, until nobody kills it any longer."""
        for left in range(kills, -1, -1):
            resumed = (run / "checkpoints/last").exists()
            if not resumed:
                shutil.rmtree(run, ignore_errors=True)  # killed before there was anything to go on from
            by = self.random.choice([signal.SIGTERM, signal.SIGKILL])
            after = self.random.uniform(0.3, 1) * self.seconds[config] if left else None
            status, out, _ = self.rnncli(
                "train --resume" if resumed else "train",
                config,
                *(("train", "--resume", run, "--quiet") if resumed else training(config, keys, run)),
                kill_after=after,
                by=by,
                wanted=(0, *ENDED[by]) if left else (0,),
            )
            if status == 0:
                if out.strip() != str(run):
                    self.complain(f"{run}: training printed {out!r} in place of its directory")
                return
            self.kills += 1

    def round(self, config, sound, kills):
        """One training with kills, compared with the one without."""
        keys = CONFIGS[config][0]
        run = self.folder / "runs" / f"{config}-{self.rounds}"
        self.train_with_kills(config, keys, run, self.random.randint(min(1, kills), kills))
        if not (run / "checkpoints/last").exists():
            self.complain(f"{run}: no checkpoint")
            return
        found = self.result(config, run)
        for what, value in sound.items():
            if found[what] != value:
                self.complain(f"{run}: other {what} than without kills")
        self.rnncli("evaluate", config, "evaluate", run)
        shutil.rmtree(run)
        self.rounds += 1

    def table(self):
        """The memory of each kind of process; complains of what grew."""
        lines = [f"{'process':<42}{'runs':>6}{'first third':>14}{'last third':>14}{'most':>10}"]
        for kind, used in sorted(self.memory.items()):
            third = max(1, len(used) // 3)
            first, last = (statistics.median(part) for part in (used[:third], used[-third:]))
            if last > first * MOST_GROWTH and "killed" not in kind:
                self.complain(f"{kind}: its memory grew from {first:.0f} to {last:.0f} MB")
            lines.append(f"{kind:<42}{len(used):>6}{first:>11.0f} MB{last:>11.0f} MB{max(used):>7.0f} MB")
        return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--configs", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--kills", type=int, default=3, help="most kills of a training")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    until = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(prefix="rnncli-soak-") as folder:
        soak, sound = Soak(Path(folder), chosen.seed), {}
        for config in chosen.configs:
            run = soak.folder / f"{config}-sound"
            for _ in range(2):  # the second takes as long as those that follow: compilations are kept
                shutil.rmtree(run, ignore_errors=True)
                soak.train(config, CONFIGS[config][0], run)
            sound[config] = soak.result(config, run)
        while time.monotonic() < until:
            config = chosen.configs[soak.rounds % len(chosen.configs)]
            soak.round(config, sound[config], chosen.kills)
            if len(soak.wrong) > 20:
                break
        print(soak.table())
        print(f"{soak.rounds} rounds, {soak.kills} kills, {len(soak.wrong)} wrong")
    sys.exit(bool(soak.wrong))


if __name__ == "__main__":
    main()
