"""Damage every file of the cache of compilations in five ways, and see that no command fails.

    python tests/slow/cache_damage.py [--slice I/N | --slice I-J/N]

For each damage it predicts, and trains a run whose weights must be those of an undamaged cache: once with damage that
is found before TensorFlow starts, and once with damage that only TensorFlow finds. As root on Linux it also fills the
file system of the session while training. Prints a line for each failure, and the totals. A slice is every Nth case,
from the Ith on, so that several short runs do all; I-J are these slices together.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support")]
from interrupted_training import Server  # noqa: E402

CONFIG = """
task: {type: addition, digits: 2, examples: 400, held_out: 50}
model: {type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}
training: {epochs: 2, batch_size: 100}
runtime: {cores: %d}
"""
DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeroed": lambda data: bytes(len(data)),
    "one bit flipped": lambda data: data[:20] + bytes([data[20] ^ 4]) + data[21:],
    "foreign content": lambda data: b"<html>404</html>",
}
UNCHECKED = """
from rnncli.runtime import compilation_cache
compilation_cache._checked = lambda path, found, status: path
"""
FULL = """
from pathlib import Path
from rnncli.runtime import compilation_cache
compilation_cache.SHARED_MEMORY = Path("full")
has_room = compilation_cache.has_room
answers = iter([True, True])  # there is room when the command starts
compilation_cache.has_room = lambda path: next(answers, None) or has_room(path)
"""


class Commands:
    """Runs rnncli with a cache of its own in a folder, in forks of a process that has imported TensorFlow."""

    def __init__(self, folder):
        self.folder = folder
        os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
        self.server = Server(compiled=True, unrolled=True)

    def __call__(self, *arguments, code=""):
        """Run a command after some code; returns its exit status, stdout and stderr."""
        status, said = self.server(self.folder, *arguments, code=code)
        return status, (self.folder / "stdout").read_text(), said

    def train(self, name, code=""):
        shutil.rmtree(self.folder / name, ignore_errors=True)
        status, _, said = self("train", "config.yaml", "--run-dir", name, "--quiet", code=code)
        return status, said


def entries(folder):
    return sorted((folder / "cache").rglob("*.pb.*"))


def weights(run):
    files = sorted((run / "checkpoints").rglob("weights.safetensors"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def prepare(folder, commands, cores):
    """Train and predict once with an empty cache; returns the good answers."""
    (folder / "config.yaml").write_text(CONFIG % cores)
    assert commands.train("run")[0] == 0
    status, answers, said = commands("predict", "run", "1+2", "30+4")
    assert status == 0, said
    shutil.copytree(folder / "cache", folder / "sound")
    return answers, weights(folder / "run")


def attempt(folder, commands, good, number, change, code):
    """Damage one file, and run both commands; returns what went wrong."""
    problems = []
    for which in ("predict", "train"):
        shutil.rmtree(folder / "cache")
        shutil.copytree(folder / "sound", folder / "cache")
        path = entries(folder)[number]
        path.write_bytes(change(path.read_bytes()))
        if which == "predict":
            status, answers, said = commands("predict", "run", "1+2", "30+4", code=code)
            right = answers == good[0]
        else:
            status, said = commands.train("again", code)
            right = weights(folder / "again") == good[1]
        if status or not right or (not code and "warning" not in said):
            problems.append(f"{which}: status {status}, right: {right}: {said[-300:]}")
    return problems


def fill_up(folder, commands, good):
    """Train while the file system of the session fills up."""
    shutil.rmtree(folder / "cache")
    (folder / "full").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder / "full")], check=True)
    try:
        status, said = commands.train("again", FULL)
    finally:
        subprocess.run(["umount", str(folder / "full")], check=True)
    right = weights(folder / "again") == good[1]
    return [] if not status and right and "warning" in said else [f"full: {said[-300:]}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--slice", default="1/1")
    chosen, step = parser.parse_args().slice.split("/")
    first, last = (int(number) - 1 for number in (chosen.partition("-")[0], chosen.rpartition("-")[2]))
    tried = failed = 0
    for cores in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            commands = Commands(folder)
            good = prepare(folder, commands, cores)
            cases = list(product(DAMAGE, range(len(entries(folder))), ("", UNCHECKED)))
            taken = [case for number, case in enumerate(cases) if first <= number % int(step) <= last]
            print(f"cores {cores}: {len(taken)} of {len(cases)} cases", flush=True)
            for kind, number, code in taken:
                problems = attempt(folder, commands, good, number, DAMAGE[kind], code)
                tried, failed = tried + 2, failed + len(problems)
                print(f"{tried} commands, {failed} failed", flush=True)
                for problem in problems:
                    print(f"{kind}, file {number}, checked: {not code}, cores {cores}: {problem}", flush=True)
            if os.geteuid() == 0 and sys.platform == "linux":
                problems = fill_up(folder, commands, good)
                tried, failed = tried + 1, failed + len(problems)
                print(*problems, sep="\n", end="\n" * bool(problems))
            commands.server.close()
    print(f"{tried} commands with a damaged cache: {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
