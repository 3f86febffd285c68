"""`python -m rnncli` is `rnncli`."""

import os
import sys

if __name__ == "__main__":
    if sys.path[0] == os.getcwd():  # noqa: PTH109 (text)
        del sys.path[0]  # files of the current directory, which may be anybody's, would stand in for modules
    from rnncli.cli import run

    run()
