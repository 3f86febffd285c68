"""The command line. Each command parses, makes one call and prints; heavy imports are inside command functions."""

import sys

if sys.platform == "win32":  # before any import of what only POSIX systems have
    sys.exit(
        "error: rnncli runs on Linux and macOS\n"
        "  hint: on Windows use it in WSL: https://learn.microsoft.com/windows/wsl/install"
    )


def run() -> None:
    """Run the command line in a process of its own; Ctrl-C while it is imported ends it like later ones."""
    from rnncli.errors import RunFailedError
    from rnncli.runtime.memory import require_memory_to_start

    try:
        require_memory_to_start()
        from rnncli.cli.main import run as run_command

        run_command()
    except RunFailedError as error:
        sys.stderr.write(f"error: {error.message}\n  hint: {error.hint}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
