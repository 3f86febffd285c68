"""Damage every file of the cache of compilations in five ways, and see that no command fails.

    python tests/slow/cache_damage.py [--slice I/N]

For each damage it predicts, and trains a run whose weights must be those of an undamaged cache: once with damage that
is found before TensorFlow starts, and once with damage that only TensorFlow finds. As root on Linux it also fills the
file system of the session while training. Prints a line for each failure, and the totals. A slice is every Nth case,
from the Ith on, so that several short runs do all.
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
import sys
from rnncli.runtime import compilation_cache
compilation_cache._checked = lambda path, found, status: path
from rnncli.cli.main import run
sys.argv[0] = "rnncli"
run()
"""
FULL = """
import sys
from pathlib import Path
from rnncli.runtime import compilation_cache
compilation_cache.SHARED_MEMORY = Path("full")
has_room = compilation_cache.has_room
answers = iter([True, True])  # there is room when the command starts
compilation_cache.has_room = lambda path: next(answers, None) or has_room(path)
from rnncli.cli.main import run
sys.argv[0] = "rnncli"
run()
"""


def command(folder, *arguments, code=None):
    """Run rnncli with a cache of its own in a folder."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    start = ["-m", "rnncli"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *start, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def entries(folder):
    return sorted((folder / "cache").rglob("*.pb.*"))


def weights(run):
    files = sorted((run / "checkpoints").rglob("weights.safetensors"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def train(folder, name, code=None):
    shutil.rmtree(folder / name, ignore_errors=True)
    return command(folder, "train", "config.yaml", "--run-dir", name, "--quiet", code=code)


def prepare(folder, cores):
    """Train and predict once with an empty cache; returns the good answers."""
    (folder / "config.yaml").write_text(CONFIG % cores)
    assert train(folder, "run").returncode == 0
    asked = command(folder, "predict", "run", "1+2", "30+4")
    assert asked.returncode == 0, asked.stderr
    shutil.copytree(folder / "cache", folder / "sound")
    return asked.stdout, weights(folder / "run")


def attempt(folder, good, number, change, code):
    """Damage one file, and run both commands; returns what went wrong."""
    problems = []
    for which in ("predict", "train"):
        shutil.rmtree(folder / "cache")
        shutil.copytree(folder / "sound", folder / "cache")
        path = entries(folder)[number]
        path.write_bytes(change(path.read_bytes()))
        if which == "predict":
            ended = command(folder, "predict", "run", "1+2", "30+4", code=code)
            right = ended.stdout == good[0]
        else:
            ended = train(folder, "again", code)
            right = weights(folder / "again") == good[1]
        if ended.returncode or not right:
            problems.append(f"{which}: status {ended.returncode}, right: {right}: {ended.stderr[-300:]}")
    return problems


def fill_up(folder, good):
    """Train while the file system of the session fills up."""
    shutil.rmtree(folder / "cache")
    (folder / "full").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder / "full")], check=True)
    try:
        ended = train(folder, "again", FULL)
    finally:
        subprocess.run(["umount", str(folder / "full")], check=True)
    right = weights(folder / "again") == good[1]
    return [] if not ended.returncode and right and "warning" in ended.stderr else [f"full: {ended.stderr[-300:]}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--slice", default="1/1")
    first, step = map(int, parser.parse_args().slice.split("/"))
    tried = failed = 0
    for cores in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            good = prepare(folder, cores)
            cases = list(product(DAMAGE, range(len(entries(folder))), (None, UNCHECKED)))
            print(f"cores {cores}: {len(cases[first - 1 :: step])} of {len(cases)} cases", flush=True)
            for kind, number, code in cases[first - 1 :: step]:
                problems = attempt(folder, good, number, DAMAGE[kind], code)
                tried, failed = tried + 2, failed + len(problems)
                for problem in problems:
                    print(f"{kind}, file {number}, checked: {code is None}, cores {cores}: {problem}", flush=True)
            if os.geteuid() == 0 and sys.platform == "linux":
                problems = fill_up(folder, good)
                tried, failed = tried + 1, failed + len(problems)
                print(*problems, sep="\n", end="\n" * bool(problems))
    print(f"{tried} commands with a damaged cache: {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
