"""Let system calls of train, export-states, init and predict fail, wait or kill, and see that nothing is lost.

    python tests/slow/faults.py [--seed N] [--slice I/N]

It needs strace, and the right to use it. Each fault is put at a call drawn at random. Afterwards an output must be
the old one or the new one, whole; a command that failed has said so in one line, without a traceback, and left
nothing else; training resumes to the weights of a run that nothing happened to.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = """
task: {type: addition, digits: 1, examples: 55, held_out: 5}
model: {type: encoder_decoder, encoder: {units: 6, dropout: 0.1}, decoder: {units: 6}}
training: {epochs: 3, batch_size: 10, learning_rate: 1e-2}
runtime: {cores: 1}
"""
WORDS = "".join(f"{a}{b}\t{b} {a}\n" for a in "abcdef" for b in "ghijkl")
CALLS = {
    "write": "write,pwrite64",
    "fsync": "fsync,fdatasync",
    "rename": "rename,renameat,renameat2",
    "mkdir": "mkdir,mkdirat",
    "unlink": "unlink,unlinkat,rmdir",
}
FAULTS = [
    *((call, f"error={error}") for call in CALLS for error in ("ENOSPC", "EIO")),
    *((call, "error=EDQUOT") for call in ("write", "mkdir")),
    *((call, "error=EINTR") for call in ("write", "fsync")),
    *((call, "signal=KILL") for call in CALLS),
]
DELAY = "delay_enter=2000000"
COMMANDS = {
    "train": ["train", "config.yaml", "--run-dir", "new", "--quiet"],
    "export-states": ["export-states", "run", "1+2", "3+4", "-o", "out.npz", "--overwrite", "--quiet"],
    "init": ["init", "words.tsv", "--split", "0.2", "-o", "words.yaml", "--overwrite", "--quiet"],
    "predict": ["predict", "run", "1+2", "3+4", "--state-out", "out.npz", "--overwrite", "--quiet"],
}
OUTPUTS = {
    "train": [],
    "export-states": ["out.npz"],
    "init": ["words.train.tsv", "words.validation.tsv", "words.yaml"],
    "predict": ["out.npz"],
}
CASES = [(name, call, fault) for name in COMMANDS for call, fault in [*FAULTS, ("rename", DELAY)]]


def rnncli(folder, *arguments, trace=()):
    """Run rnncli in a folder with a cache of its own, perhaps traced."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder)}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [*trace, sys.executable, "-m", "rnncli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def weights(run):
    """Return the digests of the best and of the last weights of a run."""
    folder = run / "checkpoints"
    files = [folder / (folder / which).read_text().strip() / "weights.safetensors" for which in ("best", "last")]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def contents(folder, names):
    """Return the bytes of files, None for those that are not there."""
    return {name: (folder / name).read_bytes() if (folder / name).exists() else None for name in names}


class Tries:
    """A folder with a run, old outputs, the new ones, and the number of each call of each command."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "config.yaml").write_text(CONFIG)
        assert not rnncli(folder, "train", "config.yaml", "--run-dir", "run", "--quiet").returncode
        self.good = weights(folder / "run")
        self.names = [name for names in OUTPUTS.values() for name in names]
        self.old, self.new, self.answers, self.counts = {}, {}, {}, {}

    def prepare(self, name):
        """Make the old outputs of a command, and count its calls while it makes the new ones."""
        folder = self.folder
        (folder / "words.tsv").write_text(WORDS.replace("a", "z"))
        older = [argument.replace("1+2", "5+6") for argument in COMMANDS[name]]
        assert not rnncli(folder, *older).returncode
        self.old[name] = contents(folder, OUTPUTS[name])
        (folder / "words.tsv").write_text(WORDS)
        self.reset(name)
        log = folder / "log"
        traced = ["strace", "-f", "--seccomp-bpf", "-o", str(log), "-e", f"trace={','.join(CALLS.values())}"]
        ended = rnncli(folder, *COMMANDS[name], trace=traced)
        assert not ended.returncode, ended.stderr
        self.answers[name] = ended.stdout
        self.new[name] = contents(folder, OUTPUTS[name])
        lines = log.read_text().splitlines()
        main = [line for line in lines if line.split()[0] == lines[0].split()[0]]
        for call, names in CALLS.items():
            pattern = rf"\d+ +({names.replace(',', '|')})\("
            self.counts[name, call] = sum(bool(re.match(pattern, line)) for line in main)
        log.unlink()
        self.before = set(folder.iterdir())

    def reset(self, name):
        """Put the old outputs of a command in place."""
        shutil.rmtree(self.folder / "new", ignore_errors=True)
        for file, data in self.old[name].items():
            (self.folder / file).write_bytes(data)

    def attempt(self, name, call, fault, random):
        """Run a command with a fault; returns what is wrong, and the place of the fault."""
        self.reset(name)
        count = self.counts[name, call]
        if not count:
            return [], "no such call"
        number = random.randint(1, count)
        lasting = call != "rename" and fault.endswith(("ENOSPC", "EDQUOT"))
        times = f"{number}+" if lasting else number
        inject = f"inject={CALLS[call]}:{fault}:when={times}"
        traced = ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={CALLS[call]}", "-e", inject]
        ended = rnncli(self.folder, *COMMANDS[name], trace=traced)
        killed = fault == "signal=KILL" and ended.returncode in (-9, 137)
        problems = self.said(name, ended, killed) + self.left(name, ended, killed)
        for path in set(self.folder.iterdir()) - self.before - {self.folder / "new"}:
            if not killed and call != "unlink":
                problems.append(f"left {path.name}")
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        return problems, f"{number} of {count}"

    def said(self, name, ended, killed):
        """Return what is wrong with status, stdout and stderr."""
        problems = []
        if ended.returncode not in (0, 1) and not killed:
            problems.append(f"status {ended.returncode}")
        if "Traceback" in ended.stderr or len(ended.stderr.splitlines()) > 4:
            problems.append("stderr")
        if not ended.returncode and ended.stdout != self.answers[name]:
            problems.append(f"stdout {ended.stdout!r}")
        return [f"{each}: {ended.stderr[-600:]}" for each in problems]

    def left(self, name, ended, killed):
        """Return what is wrong with the outputs."""
        found = contents(self.folder, OUTPUTS[name])
        if not ended.returncode and found != self.new[name]:
            return ["success, but not the new output"]
        if name == "train":
            return self.training_left(ended)
        if name == "init":
            config, data = found["words.yaml"], [found[file] for file in OUTPUTS[name][:2]]
            old, new = ([state[name][file] for file in OUTPUTS[name][:2]] for state in (self.old, self.new))
            parts = [new, old, *([[new[0], None], [old[0], None], [None, None]] if killed else [])]
            whole = config in (self.old[name]["words.yaml"], self.new[name]["words.yaml"]) and data in parts
            return [] if whole else [f"a mix of outputs: {found}"]
        return [] if found in (self.old[name], self.new[name]) else ["the output is damaged"]

    def training_left(self, ended):
        """Return what is wrong with a run directory."""
        run = self.folder / "new"
        if not ended.returncode:
            return [] if weights(run) == self.good else ["other weights"]
        if not list((run / "checkpoints").glob("[0-9]*/checkpoint.json")):
            return []  # nothing was there that could be lost
        resumed = rnncli(self.folder, "train", "--resume", "new", "--quiet")
        if resumed.returncode or weights(run) != self.good:
            return [f"does not resume: {resumed.stderr[-600:]}"]
        return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slice", default="1/1")
    chosen = parser.parse_args()
    first, step = map(int, chosen.slice.split("/"))
    failed, tried = 0, CASES[first - 1 :: step]
    with tempfile.TemporaryDirectory() as name:
        tries = Tries(Path(name))
        for command in dict.fromkeys(case[0] for case in tried):
            tries.prepare(command)
            for case in (case for case in tried if case[0] == command):
                problems, place = tries.attempt(*case, random.Random(f"{chosen.seed} {case}"))
                failed += bool(problems)
                print(*case, place, problems or "ok", flush=True)
    print(f"{len(tried)} faults: {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
