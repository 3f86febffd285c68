"""File names in a run directory. Here below `runs`, since `user_code` must know a run directory when it sees one."""

from __future__ import annotations

from rnncli.data.vocabulary import VOCABULARY as VOCABULARY
from rnncli.states.staging import MANIFEST as MANIFEST

CONFIG, METRICS, LOCK = "config.yaml", "metrics.jsonl", "lock"
CHECKPOINTS, CODE, EXPORTS = "checkpoints", "code", "exports"
CSV, TENSORBOARD, EVENTS = "metrics.csv", "tensorboard", "events.out.tfevents.*"

RUN_MARKERS = (MANIFEST, VOCABULARY, METRICS, CHECKPOINTS)
"""Any one of them beside a config.yaml makes a run directory."""

WRITTEN_FILES = (CONFIG, MANIFEST, VOCABULARY, METRICS, CSV)
"""The files that training writes, beside those in folders."""
