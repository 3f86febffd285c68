"""The table of engines that train the trials of a sweep."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from rnncli.engines import LOCAL, RAY
from rnncli.sweep.spec import SweepSpec
from rnncli.sweep.training import Engine, LocalEngine


@contextlib.contextmanager
def _local(spec: SweepSpec, _address: str, _jobs: int | None) -> Iterator[Engine]:
    """Train on this machine."""
    yield LocalEngine(spec.jobs)


@contextlib.contextmanager
def _ray(spec: SweepSpec, address: str, jobs: int | None) -> Iterator[Engine]:
    """Connect to a Ray cluster, and train there."""
    from rnncli.engines.connection import connected
    from rnncli.sweep.ray_engine import RayEngine, cpus_of

    config = spec.config({key: parameter.samples[0] for key, parameter in spec.space.items()}, spec.seeds[0])
    jobs = jobs or (spec.jobs if spec.jobs > 1 else None)
    with connected(address, cpus_of(config)) as resources:
        yield RayEngine(resources, config, jobs)


OpenEngine = Callable[[SweepSpec, str, int | None], contextlib.AbstractContextManager[Engine]]

ENGINES: Mapping[str, OpenEngine] = {LOCAL: _local, RAY: _ray}
"""Functions that open an engine, given the sweep, the address of a cluster, and `--jobs` if it was given."""
