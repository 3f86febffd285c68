"""The generator of the reference pages, `docs/generate.py`, for tests."""

import runpy
from pathlib import Path

GENERATOR = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "generate.py"))
pages, table = GENERATOR["pages"], GENERATOR["config_keys"]
