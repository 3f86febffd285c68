"""In place of `rnncli train` in tests of sweeps: epochs whose metric follows from the settings, without TensorFlow.

    python fake_training.py CONFIG --run-dir RUN --set KEY=VALUE ...
    python fake_training.py --resume RUN

A setting `training.epochs=1000` trains until it is stopped. `task.digits=9` fails.
"""

import json
import signal
import sys
import time
from pathlib import Path


def main():
    given = sys.argv[1:]
    resumed = "--resume" in given
    run = Path(given[given.index("--resume" if resumed else "--run-dir") + 1])
    if not resumed:
        run.mkdir()
        pairs = [each.split("=", 1) for each, before in zip(given[1:], given, strict=False) if before == "--set"]
        (run / "config.yaml").write_text(json.dumps({key: json.loads(value) for key, value in pairs}))
    settings = json.loads((run / "config.yaml").read_text())
    if settings.get("task.digits") == 9:
        print("error: nine digits", file=sys.stderr)
        raise SystemExit(1)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    log = run / "metrics.jsonl"
    done = len(log.read_text().splitlines()) if log.exists() else 0
    rate, seed = settings["training.learning_rate"], settings["training.seed"]
    for epoch in range(done + 1, settings.get("training.epochs", 3) + 1):
        value = round(min(1.0, epoch / 3) * (1 - rate) - seed / 100, 6)
        with log.open("a") as file:
            file.write(json.dumps({"epoch": epoch, "exact_match": value}) + "\n")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
