"""`python -m rnncli` is `rnncli`."""

import os
import sys

from rnncli.cli.main import run

if __name__ == "__main__":
    if sys.path[0] == os.getcwd():  # noqa: PTH109 (text)
        del sys.path[0]  # files of the current directory, which may be anybody's, are no modules
    run()
