"""Time parts of rnncli that cannot be timed from outside. A script.

`python ours.py predict RUN DATA TIMES` prints, a JSON line a time, the seconds of predicting the ids of a data file,
and of the same from lines of text to text.
`python ours.py first-step ARGUMENTS...` is `rnncli ARGUMENTS...` that ends after its first training step and prints
the clock (`time.monotonic`).
"""

import importlib.abc
import importlib.util
import json
import os
import sys
import time


class FirstStep(importlib.abc.MetaPathFinder):
    """Changes the training step when rnncli itself imports it, so that all is imported when it would be."""

    def find_spec(self, name, path, target=None):
        if name != "rnncli.training.step":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def changed(module):
            execute(module)
            whole = module.TrainStep.__call__

            def first(*arguments):
                whole(*arguments)
                print(json.dumps({"clock": time.monotonic()}), flush=True)
                os._exit(0)

            module.TrainStep.__call__ = first

        spec.loader.exec_module = changed
        return spec


def first_step(*arguments):
    sys.meta_path.insert(0, FirstStep())
    from rnncli.cli.main import run

    sys.argv = ["rnncli", *arguments]
    run()


def predict(run, data, times):
    from pathlib import Path

    import numpy as np

    from rnncli.cli.options import open_run, start_run

    trained = start_run(open_run(Path(run), "cpu"))
    arrays = np.load(data)
    source, lengths = arrays["source"], arrays["lengths"]
    lines = [trained.task.show_source(row[:length].tolist()) for row, length in zip(source, lengths, strict=True)]
    trained.predict(lines[:1])  # compiles
    for _ in range(int(times)):
        began = time.perf_counter()
        trained.decoder(source, lengths)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        for _ in trained.predict_stream(iter(lines)):
            pass
        print(json.dumps({"seconds": seconds, "text_seconds": time.perf_counter() - began}), flush=True)


{"first-step": first_step, "predict": predict}[sys.argv[1]](*sys.argv[2:])
