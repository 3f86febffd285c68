"""The layers of the package: a module imports only from layers below its own, or from its own package."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rnncli"
LAYERS = [
    {"_version", "errors", "text", "terminal", "metrics"},
    {"files", "config"},
    {"cluster", "data", "states", "plots"},
    {"runtime"},
    {"layers", "runs"},
    {"engines", "models"},
    {"inference"},
    {"export"},
    {"training", "devices", "report", "serve"},
    {"explore"},
    {"sweep"},
    {"api"},
    {"cli"},
    {"__init__", "__main__"},
]
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
WITHOUT_TENSORFLOW = {
    "cluster",
    "errors",
    "text",
    "files",
    "config",
    "data",
    "states",
    "runs",
    "runtime",
    "sweep",
    "serve",
    "explore",
    "cli",
    "api",
    "metrics",
    "plots",
    "report",
    "_version",
}
ALSO_WITHOUT_TENSORFLOW = {
    *("inference.decoding_options", "inference.ensembles", "inference.streaming", "inference.initial_states"),
    *("inference.decoding", "inference.batching", "inference.numpy_search", "inference.prediction"),
    *("inference.backends", "inference.onnx_backend", "inference.onnx_decoder", "inference.onnx_model"),
    *("inference.gated_steps", "inference.numpy_network"),
    *("export.exporter", "export.formats", "export.comparison", "export.onnx.writer", "export.onnx.runner"),
    *("inference.confusion", "inference.evaluation", "inference.held_out"),
    "training.benchmark_report",
    *("engines", "engines.child", "engines.connection", "engines.ray_training"),
}
MAX_FUNCTION_LINES = 40
QUESTION_WORDS = {"what", "whether", "how", "where", "which", "when"}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The dotted name of a file below the package: `cli.main`, or `cli` for its `__init__.py`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path): path for path in FILES}


def imported_modules(path: Path) -> set[str]:
    """The modules of rnncli that a file imports anywhere, types included, without the leading `rnncli.`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and (node.module + ".").startswith("rnncli."):
            source = node.module.removeprefix("rnncli").lstrip(".")
            for alias in node.names:
                member = f"{source}.{alias.name}".lstrip(".")
                found.add(member if member in MODULES else source or "__init__")
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("rnncli.") for alias in node.names if alias.name.startswith("rnncli.")}
    return found


def top(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_a_layer():
    assert {top(module) for module in MODULES} == set(LAYER_OF)


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_lower_layers_or_the_own_package(module):
    imported = {top(name) for name in imported_modules(MODULES[module])} - {top(module)}
    assert {name for name in imported if LAYER_OF[name] >= LAYER_OF[top(module)]} == set()


def test_no_circle_of_imports_in_a_package():
    graph = {
        module: {name for name in imported_modules(path) if top(name) == top(module) and name != module}
        for module, path in MODULES.items()
    }
    # a package's face hands on what its modules hold: who imports the face from inside its package makes a circle
    open_modules = dict(graph)
    while leaves := {module for module, imported in open_modules.items() if not imported & set(open_modules)}:
        for module in leaves:
            del open_modules[module]
    assert open_modules == {}


def test_no_command_imports_a_command():
    commands = [module for module in MODULES if module.startswith("cli.commands.")]
    wrong = {m: imported_modules(MODULES[m]) & set(commands) for m in commands}
    assert not any(wrong.values()), wrong


def test_what_needs_no_tensorflow_is_imported_without_it():
    names = [m for m in MODULES if top(m) in WITHOUT_TENSORFLOW or m in ALSO_WITHOUT_TENSORFLOW]
    code = (
        "import importlib, sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for name in {names!r}: importlib.import_module('rnncli.' + name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def users_of(pattern: str) -> set[str]:
    return {module for module, path in MODULES.items() if re.search(pattern, path.read_text(), re.M)}


def test_only_the_figure_module_imports_matplotlib():
    assert users_of(r"^\s*(import|from) matplotlib") == {"plots.figure"}


def test_only_tensorflow_setup_sets_the_backend_and_the_flags_of_xla():
    assert users_of(
        r"""environ(\[|\.setdefault\()["'](KERAS_BACKEND|KERAS_HOME|XLA_FLAGS|TF_XLA_FLAGS)["'](\] *[|+]?=[^=]|,)"""
    ) == {"runtime.tensorflow_setup"}


def test_python_processes_that_are_started_import_nothing_from_the_current_directory():
    texts = [path.read_text() for path in MODULES.values()]
    commands = [each for text in texts for each in re.findall(r"[\[(]sys\.executable, \"-.*", text)]
    assert len(commands) >= 3
    assert [each for each in commands if '"-P"' not in each] == []


def docstrings(path: Path) -> list[str]:
    """The docstrings of a file, those below constants and fields included."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Expr)]
    return [n.value.value for n in nodes if isinstance(n.value, ast.Constant) and isinstance(n.value.value, str)]


def test_docstrings_begin_with_a_verb_or_the_name_of_the_thing():
    files = [file for folder in ("rnncli", "tests", "benchmarks", "docs") for file in (ROOT / folder).rglob("*.py")]
    assert PACKAGE / "api.py" in files
    wrong = {
        f"{file.relative_to(ROOT)}: {text.splitlines()[0]}"
        for file in files
        for text in docstrings(file)
        if re.split(r"\W", text.strip())[0].lower() in QUESTION_WORDS
    }
    assert wrong == set()


@pytest.mark.parametrize("module", MODULES)
def test_functions_stay_small(module):
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"
