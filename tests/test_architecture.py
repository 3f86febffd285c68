"""The layers of the code: a module imports only from rows of a lower number, never sideways, never up."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rnncli"
ROWS = {
    "compilation": 0,
    "errors": 0,
    "signals": 0,
    "beside": 0,
    "config": 1,
    "vocabulary": 1,
    "kernels": 1,
    "decoding": 1,
    "metrics": 1,
    "files": 1,
    "arrays": 1,
    "nvidia": 1,
    "usercode": 1,
    "plots": 2,
    "checkpoints": 2,
    "lock": 2,
    "standing": 3,
    "bounds": 3,
    "streams": 1,
    "tasks": 2,
    "layers": 2,
    "runtime": 2,
    "models": 3,
    "batching": 3,
    "flop": 3,
    "speed": 3,
    "devices": 3,
    "survey": 3,
    "search": 2,
    "decoder": 4,
    "beam": 2,
    "pieces": 1,
    "draft": 4,
    "rundir": 4,
    "states": 5,
    "resuming": 5,
    "verification": 5,
    "members": 5,
    "prediction": 5,
    "training": 6,
    "evaluation": 6,
    "attention": 6,
    "export": 6,
    "api": 7,
    "cli": 7,
}
OUTSIDE = {"__init__", "__main__"}
LONGEST_FILE, LONGEST_FUNCTION = 300, 40
FILES = sorted(PACKAGE.rglob("*.py"))


def entry(path: Path) -> str:
    """The entry of the table that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_entries(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("rnncli.")}
    return found - {"__version__"}


def test_every_module_has_a_row():
    assert {entry(path) for path in FILES} - OUTSIDE <= set(ROWS)


@pytest.mark.parametrize(
    "path", [p for p in FILES if entry(p) not in OUTSIDE], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_come_from_lower_rows(path):
    own = entry(path)
    wrong = {name for name in imported_entries(path) - {own} if ROWS[name] >= ROWS[own]}
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


def test_only_the_plots_import_matplotlib():
    users = {entry(path) for path in FILES if re.search(r"^\s*(import|from) matplotlib", path.read_text(), re.M)}
    assert users == {"plots"}
