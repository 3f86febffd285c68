"""Run directories written by hand, as training leaves them: no model is trained, and no weights are there."""

import json

from rnncli.config import dump_config, parse_config
from rnncli.runs.sessions import BEST, EXAMPLES, SESSIONS, STATE, STEP

CONFIG = "task: addition\nmodel: encoder_decoder\n"
START = "2026-11-28T22:43:09+00:00"


def epochs(values, metric="exact_match", steps=10):
    """Lines of metrics.jsonl, one for each value of a metric."""
    return [
        {"epoch": n, "step": n * steps, "loss": 2 / n, metric: value, "learning_rate": 0.01, "seconds": 1.5}
        for n, value in enumerate(values, start=1)
    ]


def write_run(path, values=(0.2, 0.5), overrides=(), state="finished", config_path="addition.yaml", **manifest):
    """A run with these values of its metric by epoch; `state=None` leaves out all that 0.1.0 did not record."""
    path.mkdir(parents=True)
    config = parse_config(CONFIG, "c.yaml", [f"training.epochs={max(1, len(values))}", *overrides])
    lines = epochs(values, config.best_metric)
    (path / "config.yaml").write_text(dump_config(config))
    (path / "vocabulary.json").write_text(json.dumps({"source": [], "target": []}))
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    facts = {"parameters": 1234, "device": "cpu", "versions": {"rnncli": "0.2.0"}, "config": dump_config(config)}
    if state is not None:
        session = {"start": START, "end": START, "seconds": 90.0, "host": "here", "command": "rnncli train addition"}
        best = max(lines, key=lambda line: line[config.best_metric], default={})
        facts |= {
            STATE: state,
            STEP: 10 * len(values),
            BEST: best,
            SESSIONS: [{**session, "config_path": config_path}],
        }
        facts |= {EXAMPLES: {"train": 90, "held_out": 10}}
    (path / "manifest.json").write_text(json.dumps(facts | manifest))
    return path
