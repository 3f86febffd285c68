"""Find the workers that this process was started among."""

from __future__ import annotations

from collections.abc import Mapping

from rnncli.cluster.layout import Cluster
from rnncli.cluster.slurm import read_slurm
from rnncli.cluster.tf_config import EVALUATES, read_tf_config
from rnncli.errors import InputError

SLURM, TF_CONFIG = "slurm", "TF_CONFIG"


def find_cluster(environment: Mapping[str, str], workers: str | None = None) -> Cluster | None:
    """Return the cluster that this process was started in; None if it is alone.

    Args:
        environment: Environment variables.
        workers: The value of `--workers`: a number, or slurm; None if it was not given.

    Raises:
        InputError: The environment describes no cluster that can train, or another number of workers.
    """
    if workers == SLURM:
        cluster: Cluster | None = read_slurm(environment)
    else:
        cluster = read_tf_config(environment.get(TF_CONFIG, ""))
        if cluster is not None and workers is not None and int(workers) != cluster.count:
            raise InputError(
                f"--workers {workers}: TF_CONFIG names {cluster.count} workers, and this process is one of them",
                "leave --workers out, or unset TF_CONFIG to start workers on this machine",
            )
    return cluster if cluster is EVALUATES or (cluster is not None and cluster.count > 1) else None
