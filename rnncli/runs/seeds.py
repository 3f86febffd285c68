"""Runs that differ in their seed only."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli.runs.listing import NOT_COMPARED, RunInfo, describe_differences

SEEDS = ("training.seed", "task.seed")
"""Config keys that choose random numbers."""


def group_by_settings(infos: Sequence[RunInfo], by_seed: bool = True) -> dict[str, list[RunInfo]]:
    """Return the runs of each setting by its name, in the order of its first run.

    Args:
        infos: The runs.
        by_seed: True to take runs that differ in their seed only together; False for a group a run.
    """
    groups: dict[str, list[RunInfo]] = {}
    for info in infos:
        keys = {key: value for key, value in info.keys.items() if key.split(".")[0] not in NOT_COMPARED}
        settings = {key: value for key, value in keys.items() if key not in SEEDS}
        identity = repr(sorted(settings.items())) if by_seed and info.config is not None else str(info.path)
        groups.setdefault(identity, []).append(info)
    firsts = [members[0] for members in groups.values()]
    differences = describe_differences(firsts)
    named: dict[str, list[RunInfo]] = {}
    for first, differs, members in zip(firsts, differences, groups.values(), strict=True):
        words = " ".join(word for word in differs.split(" ") if not word.partition("=")[0].endswith("seed"))
        name = words if words and len(groups) > 1 and by_seed else first.name
        name = name if name not in named else first.name
        label = f"{name} ({len(members)} seeds)" if len(members) > 1 else name
        named[label if label not in named else str(first.path)] = members
    return named
