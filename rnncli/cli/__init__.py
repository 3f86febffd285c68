"""The command line. Each command parses, makes one call and prints; heavy imports are inside command functions."""

import sys

if sys.platform == "win32":  # before any import of what only POSIX systems have
    sys.exit(
        "error: rnncli runs on Linux and macOS\n"
        "  hint: on Windows use it in WSL: https://learn.microsoft.com/windows/wsl/install"
    )
