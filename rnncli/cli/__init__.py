"""The command line. Each command parses, makes one call and prints; heavy imports are inside command functions."""

import sys

if sys.platform == "win32":  # before any import of what only POSIX systems have
    sys.exit(
        "error: rnncli runs on Linux and macOS\n"
        "  hint: on Windows use it in WSL: https://learn.microsoft.com/windows/wsl/install"
    )


def run() -> None:
    """Run the command line in a process of its own; Ctrl-C while it is imported ends it like later ones."""
    try:
        from rnncli.cli.main import run as run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
