"""Running rnncli in a process of its own, and seeing which heavy modules it imported."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("tensorflow", "keras")
ROOT = Path(__file__).parents[2]


def run_and_list_heavy(*arguments):
    """Run rnncli in a process of its own; returns its exit status and which heavy modules it imported."""
    code = (
        "import sys\nfrom rnncli.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        f"    print('status', end.code, *[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    _, status, *heavy = result.stderr.strip().splitlines()[-1].split()
    return int(status), heavy
