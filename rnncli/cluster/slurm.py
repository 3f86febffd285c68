"""SLURM's environment variables, read here because TensorFlow's resolver sorts hosts as text, and wants nvidia-smi.

Formats are those of srun(1), "OUTPUT ENVIRONMENT VARIABLES": `n[8-11,15],m1` is a list of nodes, and `2(x3),1` the
number of tasks on each.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from rnncli.cluster.layout import Cluster
from rnncli.errors import InputError
from rnncli.text import shorten

PROCESS, TASKS, NODES, TASKS_PER_NODE = (
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_TASKS_PER_NODE",
)
OWN_NODE, JOB, STEP, PORTS = "SLURMD_NODENAME", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEP_RESV_PORTS"

FIRST_PORT, PORT_RANGE, MAX_LOCAL = 10_000, 20_000, 64
"""Ports that jobs without reserved ones use: below those that Linux gives to outgoing connections, from 32768 on."""
MAX_TASKS = 100_000

_PART = re.compile(r"[^\[\],\s]*(?:\[[^\[\]\s]*\][^\[\],\s]*)*")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_COUNT = re.compile(r"(\d{1,6})(?:\(x(\d{1,6})\))?")


def read_slurm(environment: Mapping[str, str]) -> Cluster:
    """Return the tasks of a job step as workers.

    Raises:
        InputError: This process was not started by srun, or what SLURM says cannot be read.
    """
    missing = [name for name in (PROCESS, TASKS, NODES, TASKS_PER_NODE) if name not in environment]
    if missing:
        raise InputError(
            f"--workers slurm: {missing[0]} is not set, so this is no task of a SLURM job step",
            "start it by srun, as in: srun --ntasks 4 rnncli train CONFIG --workers slurm",
        )
    tasks, process = _number(environment, TASKS), _number(environment, PROCESS)
    nodes = expand_nodes(environment[NODES])
    counts = expand_counts(environment[TASKS_PER_NODE])
    if len(nodes) != len(counts) or sum(counts) != tasks or not process < tasks:
        raise InputError(
            f"--workers slurm: SLURM's variables do not fit together: {len(nodes)} nodes in {NODES}, "
            f"{len(counts)} counts of {sum(counts)} tasks in {TASKS_PER_NODE}, {TASKS} {tasks}, {PROCESS} {process}"
        )
    hosts = [node for node, count in zip(nodes, counts, strict=True) for _ in range(count)]
    own = environment.get(OWN_NODE, hosts[process])
    if own != hosts[process]:
        raise InputError(
            f"--workers slurm: task {process} runs on {own}, not on {hosts[process]}, where block order puts it",
            "use srun --distribution=block",
        )
    first = _first_port(environment, max(counts))
    local = [number for count in counts for number in range(count)]
    addresses = tuple(f"{host}:{first + number}" for host, number in zip(hosts, local, strict=True))
    return Cluster(addresses, process, "SLURM")


def expand_nodes(text: str) -> list[str]:
    """Return the names in a list of nodes, in its order, which is that of the tasks: `n[8-9],m` is n8, n9, m.

    Raises:
        InputError: It cannot be read.
    """
    names: list[str] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or not found.group() or text[found.end() : found.end() + 1] not in ("", ","):
            raise _unreadable(NODES, text)
        names += _expand(found.group(), text)
        at = found.end() + 1
        if len(names) > MAX_TASKS or at == len(text):  # a comma at the end
            raise _unreadable(NODES, text)
    return names


def _expand(part: str, text: str) -> list[str]:
    """Return the names of one part, which may have several brackets."""
    pieces = re.split(r"\[([^\[\]]*)\]", part)
    choices = [[piece] if i % 2 == 0 else _expand_ranges(piece, text) for i, piece in enumerate(pieces)]
    return ["".join(names) for names in itertools.islice(itertools.product(*choices), MAX_TASKS + 1)]


def _expand_ranges(ranges: str, text: str) -> list[str]:
    numbers: list[str] = []
    for each in ranges.split(","):
        found = _RANGE.fullmatch(each)
        first, last = (found[1], found[2] or found[1]) if found else ("1", "0")
        if not 0 <= int(last) - int(first) < MAX_TASKS:
            raise _unreadable(NODES, text)
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return numbers


def expand_counts(text: str) -> list[int]:
    """Return the number of tasks on each node: `2(x3),1` is 2, 2, 2, 1.

    Raises:
        InputError: It cannot be read.
    """
    found = [_COUNT.fullmatch(each) for each in text.split(",")]
    counts: list[int] = []
    for each in found:
        if each is None or len(counts) + int(each[2] or 1) > MAX_TASKS:
            raise _unreadable(TASKS_PER_NODE, text)
        counts += [int(each[1])] * int(each[2] or 1)
    return counts


def _first_port(environment: Mapping[str, str], local: int) -> int:
    """Return the port of each node's first task: reserved by SLURM (`--resv-ports`), or from the job's number."""
    if PORTS in environment:
        found = _RANGE.fullmatch(environment[PORTS])
        if found is None or int(found[2] or found[1]) - int(found[1]) + 1 < local:
            raise InputError(
                f"--workers slurm: {PORTS} is {environment[PORTS]}, and {local} ports in a row are needed"
            )
        return int(found[1])
    steps = int(environment.get(STEP, "0")) if environment.get(STEP, "0").isdecimal() else 0
    job = _number(environment, JOB) if JOB in environment else 0
    return FIRST_PORT + (job * MAX_LOCAL + steps * 7) % (PORT_RANGE - local)


def _number(environment: Mapping[str, str], name: str) -> int:
    value = environment[name]
    if not (value.isascii() and value.isdecimal() and len(value) < 16):
        raise _unreadable(name, value)
    return int(value)


def _unreadable(name: str, value: str) -> InputError:
    return InputError(f"--workers slurm: {name} cannot be read: {shorten(repr(value))}")
