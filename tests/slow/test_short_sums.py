"""Every shipped addition config answers the sums that people ask: those of benchmarks/short_sums.py.

python -m pytest -m slow tests/slow/test_short_sums.py
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rnncli.config import load_config
from rnncli.config.shipped import shipped_configs

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ADDITIONS = [name for name, path in shipped_configs().items() if load_config(path).task.type == "addition"]


@pytest.mark.parametrize("name", ADDITIONS)
def test_99_of_100_drawn_sums_and_all_of_one_digit_are_right(name):
    command = [sys.executable, "benchmarks/short_sums.py", f"configs/{name}.yaml"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    right = re.search(r"drawn, all +([\d,]+) of +2,000", printed)
    assert right, printed
    assert int(right[1].replace(",", "")) >= 1980, printed
    assert re.search(r"one-digit sums, both orders +100 of +100", printed), printed
