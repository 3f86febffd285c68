"""Make the pictures of the tutorial on cells, by its own commands: `python docs/pictures.py`.

Needs `.[sweep,plots,serve,test]` and Chromium; trains for about two minutes on two cores.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

DOCS = Path(__file__).parent
PAGE = DOCS / "tutorials" / "cells.md"
RUN = "sweeps/cells/trials/0001"
UNIT = {"array": "decoder/0/forward/c", "unit": 20, "step": 1}
VIEWS = {
    "cells-unit.png": {"s": "155+266", "panels": [UNIT]},
    "cells-held.png": {"s": "321+123", "panels": [{**UNIT, "hold": {"decoder/0/forward/c": {"20": 2}}}]},
}
WIDTH, HEIGHT = 1000, 1180


def commands() -> list[list[str]]:
    """Return the commands of the tutorial that the pictures need."""
    lines = [line[2:] for line in PAGE.read_text().splitlines() if line.startswith("$ rnncli ")]
    return [shlex.split(line)[1:] for line in lines if line.startswith(("rnncli sweep addition", "rnncli plot"))]


def rnncli(arguments: list[str], folder: Path) -> None:
    """Run a command; `*` at the end of an argument stands for files, as in a shell."""
    found = [str(path) for each in arguments for path in (sorted(folder.glob(each)) if "*" in each else [each])]
    subprocess.run([sys.executable, "-m", "rnncli", *found], cwd=folder, check=True)  # noqa: S603


def take_views(folder: Path) -> None:
    """Open the page of `rnncli explore` in a browser, and save each view."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "rnncli", "explore", RUN, "--port", "0"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    try:
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name, view in VIEWS.items():
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
                page.goto(f"{url}#{quote(json.dumps(view))}")
                page.wait_for_selector(".course svg")
                page.evaluate("document.querySelector('.course').style.position = 'static'")
                page.screenshot(path=DOCS / "_static" / name)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Train, plot and look, in a temporary directory."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for arguments in commands():
            rnncli(arguments, folder)
        shutil.copy(folder / "curves.png", DOCS / "_static" / "cells-curves.png")
        take_views(folder)


if __name__ == "__main__":
    main()
