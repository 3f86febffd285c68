"""Reads so many mutants of one target and prints a JSON object of what came of them: a script.

`python tests/fuzz/run.py configs 10000 --seed 1` fails at the first mutant on which anything but success or an
`InputError` comes out, or that takes more than two seconds of processor time, and shows it. `slowest_s` and `peak_mb`
are the most processor time and the most memory that one of them took.
"""

import argparse
import faulthandler
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from targets import TARGETS

from rnncli.errors import InputError

MOST_SECONDS, MOST_WAITED = 2.0, 60.0
"""Of the processor's time for a mutant, and of anybody's time, should it wait for something."""


class HangError(BaseException):
    """A mutant takes too long."""


def hang(number, _frame):
    raise HangError(signal.Signals(number).name)


def memory(name):
    """Megabytes that this process has (VmRSS) or had at most (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) // 1024


def in_memory():
    """A folder for files that are in memory; None if there is none. Disks take longer than readers."""
    return next((folder for folder in ["/dev/shm"] if os.access(folder, os.W_OK)), None)


def cut(text, most=3000):
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"


def fuzz(name, count, seed):
    """Reads mutants in the current directory; returns what came of them."""
    mutants = TARGETS[name]()
    report = {"target": name, "seed": seed, "mutants": 0, "accepted": 0, "refused": 0}
    report |= {"slowest_s": 0.0, "peak_mb": 0}
    last = None

    def once(chosen):
        nonlocal last
        read, *arguments = last = chosen
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, MOST_WAITED)
        Path("/proc/self/clear_refs").write_text("5")  # the most memory counts from here on
        began, before = time.process_time(), memory("VmRSS")
        outcome = "accepted"
        try:
            read(*arguments)
        except InputError:  # of exit status 2
            outcome = "refused"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        report["slowest_s"] = round(max(report["slowest_s"], time.process_time() - began), 3)
        report["peak_mb"] = max(report["peak_mb"], memory("VmHWM") - before)
        report["mutants"] += 1
        report[outcome] += 1

    options = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    try:
        seeded(seed)(options(given(mutants)(once)))()
    except BaseException as error:
        error.__notes__ = [cut(f"on {last!r}")]  # in place of hypothesis's, which are very long
        raise
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    faulthandler.enable()
    signal.signal(signal.SIGPROF, hang)
    signal.signal(signal.SIGALRM, hang)
    with tempfile.TemporaryDirectory(prefix="rnncli-fuzz-", dir=in_memory()) as folder:
        os.chdir(folder)
        began = time.monotonic()
        report = fuzz(chosen.target, chosen.count, chosen.seed)
        assert not {"tensorflow", "keras"} & sys.modules.keys(), "mutants are refused before TensorFlow is imported"
        json.dump({**report, "seconds": round(time.monotonic() - began)}, sys.stdout)
        os.chdir("/")
    print()


if __name__ == "__main__":
    main()
