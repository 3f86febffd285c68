"""`python without_xla.py ...` is `python -m rnncli ...` without compilations: for tests of processes, not numbers."""

from rnncli.cli.main import run
from rnncli.runtime import xla

if __name__ == "__main__":
    xla.XLA = False
    run()
