"""Start of training on several workers: they meet, compare what they have, and TensorFlow connects them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnncli.cluster.layout import Cluster
from rnncli.cluster.meeting import meet
from rnncli.config.file_names import base_file_names
from rnncli.data.vocabulary import vocabulary_digest
from rnncli.runs.provenance import data_digests
from rnncli.runtime.host import available_cores, processor_name
from rnncli.runtime.nvidia import cards
from rnncli.runtime.parallelism import plan_parallelism
from rnncli.runtime.tensorflow_setup import Runtime, versions
from rnncli.runtime.user_code import source_file
from rnncli.training.inputs import Report, TrainingInputs, ignore

START_SECONDS = 300.0
"""Seconds that workers wait for each other at the start, where nobody says."""


def start_runtime(
    inputs: TrainingInputs, cluster: Cluster, seconds: float = START_SECONDS, note: Report = ignore
) -> Runtime:
    """Set TensorFlow up to train; several workers meet before.

    Args:
        inputs: The config and its data.
        cluster: The workers.
        seconds: How long to wait for all of them.
        note: Is told who is missing after a while.

    Raises:
        RunFailedError: A worker is missing or has something else, or TensorFlow cannot be set up.
    """
    if cluster.count == 1:
        return inputs.setup_tensorflow()
    meet(cluster, facts(inputs, cluster), seconds, note)
    return inputs.setup_tensorflow(cluster)


def facts(inputs: TrainingInputs, cluster: Cluster) -> dict[str, str]:
    """Return what all workers must have alike, by a name for messages."""
    config, task = inputs.config, inputs.task
    found = {f"the version of {name}": version for name, version in versions().items()}
    found["the list of workers"] = ", ".join(cluster.addresses)
    values = base_file_names(config).model_dump(mode="json", by_alias=True)
    found |= {key: json.dumps(value, ensure_ascii=False) for key, value in _leaves(values)}
    found |= {f"the digest of {name} examples": digest for name, digest in data_digests(inputs.splits).items()}
    found["the digest of the vocabulary"] = vocabulary_digest(task.source_vocabulary, task.target_vocabulary)
    for code in config.prediction_code:
        if (file := source_file(code.module, inputs.search_path, code.key)) is not None:
            found[f"the digest of {file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    if config.runtime.device == "cpu" or not cards(Path("/")):  # on GPUs the processor computes nothing
        plan = plan_parallelism(config, task.sizes, inputs.splits[0], cluster.count)
        shards = config.runtime.cores or min(available_cores(), plan.max_shards)
        found["the processor"] = processor_name()
        found["the number of cores used (runtime.cores)"] = str(shards)
    return found


def _leaves(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the key path and the value of all that is no mapping."""
    if not isinstance(values, dict) or not values:
        yield key, values
        return
    for name, value in values.items():
        yield from _leaves(value, f"{key}.{name}" if key else str(name))
