"""Custom cells in the config, and where their classes are found."""

import sys

import pytest

from rnncli.config import CustomCell, dump_config, parse_config
from rnncli.errors import ConfigError, InputError
from rnncli.runtime.user_code import ModuleSearchPath


@pytest.fixture
def folder(runtime, tmp_path):
    """A folder for modules."""
    return tmp_path


def loaded(folder, class_, source=None, file="some_cell.py"):
    from rnncli.layers import load_cell

    if source is not None:
        (folder / file).write_text(source)
    return load_cell(CustomCell.model_validate({"type": "custom", "class": class_}), ModuleSearchPath((folder,)))


@pytest.mark.parametrize(
    ("class_", "source", "problem"),
    [
        ("no_such_cell:Cell", None, r"model\.cell\.class: there is no module no_such_cell"),
        ("some_cell:Cel", "class Cell: pass", r"model\.cell\.class: some_cell has no Cel \(.*some_cell\.py\)"),
        ("some_cell:Cell", "Cell = 3", r"model\.cell\.class: some_cell:Cell is int, not a class"),
        (
            "some_cell:Cell",
            "def f():\n    raise KeyError('x')\nf()\n",
            r"model\.cell\.class: some_cell cannot be imported: KeyError: 'x' \(.*some_cell\.py, line 2\)",
        ),
        (
            "some_cell:Cell",
            "x = 1\nclass Cell(:\n",
            r"some_cell cannot be imported: SyntaxError: .* \(.*some_cell\.py, line 2\)",
        ),
        ("some_cell:Cell", "import not_there", r"ModuleNotFoundError: No module named 'not_there' \(.*, line 1\)"),
        ("json:Cell", None, r"json has no Cell"),
        ("sys:Cell", None, r"sys has no Cell \(built in\)"),
    ],
)
def test_a_class_that_cannot_be_had_is_refused_with_its_place(folder, class_, source, problem):
    with pytest.raises(InputError, match=problem) as refused:
        loaded(folder, class_, source)
    assert "\n" not in refused.value.message
    if "no module" in problem:
        assert str(folder) in refused.value.hint
    if class_.endswith("Cel"):
        assert refused.value.hint == "did you mean some_cell:Cell?"


def test_an_installed_module_is_never_shadowed(folder):
    (folder / "json.py").write_text("class Cell: pass")
    with pytest.raises(InputError, match=r"json.*Cell"):
        loaded(folder, "json:Cell")


def test_two_files_of_one_name_are_two_modules(tmp_path, folder):
    made = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        source = f"import dataclasses\n@dataclasses.dataclass\nclass Cell:\n    n: int = {number}\n"
        made.append(loaded(tmp_path / str(number), "some_cell:Cell", source).make())
    assert [cell.n for cell in made] == [0, 1]
    loaded(tmp_path / "0", "some_cell:Cell", source.replace("= 1", "= 7"))
    assert not list(tmp_path.rglob("*.pyc"))
    assert not [path for path in sys.path if path.startswith(str(tmp_path))]


def test_a_module_of_a_package_imports_what_stands_beside_it(folder):
    (folder / "own_package").mkdir()
    (folder / "own_package/__init__.py").write_text("")
    (folder / "own_package/helper.py").write_text("number = 3")
    (folder / "own_package/cell.py").write_text("from own_package.helper import number\nclass Cell: n = number")
    assert loaded(folder, "own_package.cell:Cell").make.n == 3


HEAD = "task: nested\nmodel:\n  type: classifier\n"
CUSTOM = "type: custom, class: 'a.b:C'"


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("lstn", "cell: "),
        ("3", "cell: "),
        ("custom", "cell.class: "),
        ("{type: custom}", "cell.class: "),
        ("{class: 'a:B'}", "cell.type: "),
        ("{type: custmo, class: 'a:B'}", "cell.type: "),
        ("{type: gru}", "cell.type: "),
        ("{type: custom, class: a.b}", "cell.class: "),
        ("{type: custom, class: 3}", "cell.class: "),
        (
            f"{{{CUSTOM}, units: 3}}",
            "cell.units: ",
        ),
        (f"{{{CUSTOM}, x: {{y: [.inf]}}}}", "cell.x: "),
    ],
)
def test_a_cell_that_is_none_is_refused_in_the_config(cell, problem):
    with pytest.raises(ConfigError) as refused:
        parse_config(f"{HEAD}  cell: {cell}\n", "c")
    assert refused.value.message.startswith(f"c:4: model.{problem}")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("runtime: {kernel: cudnn}", r"c:5: runtime\.kernel: cudnn .* model\.cell: .*lstm and gru"),
        ("runtime: {kernel: fused}", r"c:5: runtime\.kernel: fused .* model\.cell: custom .*lstm, gru, simple_rnn"),
        ("  implementation: cell", r"c:5: model\.implementation: .*custom"),
        ("  bidirectional: true\n  merge: sum", r"c:6: model\.merge: .*custom"),
    ],
)
def test_what_a_custom_cell_has_not_is_refused_in_the_config(more, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_config(f"{HEAD}  cell: {{{CUSTOM}}}\n{more}\n", "c")


def test_an_encoders_merge_is_refused_too():
    encoder = "encoder: {bidirectional: true, merge: ave}"
    with pytest.raises(ConfigError, match=r"c:1: model\.encoder\.merge: .*model\.cell: custom"):
        parse_config(f"{{task: addition, model: {{type: repeat_vector, cell: {{{CUSTOM}}}, {encoder}}}}}", "c")


def test_a_custom_cell_survives_the_dump_and_takes_overrides():
    text = f"{HEAD}  cell: {{{CUSTOM}, alpha: 0.5, sizes: [2, 3], more: {{a: null, b: 'no'}}, class_: x}}\n"
    config = parse_config(text, "c", ["model.cell.alpha=0.25", "model.cell.more.a=1"])
    assert parse_config(dump_config(config), "dump") == config
    assert (config.model.cell.user_class.module, config.model.cell.user_class.class_name) == ("a.b", "C")
    wanted = {"alpha": 0.25, "sizes": [2, 3], "more": {"a": 1, "b": "no"}, "class_": "x"}
    assert config.model.cell.options == wanted
    assert parse_config(text, "c", ["model.cell=gru"]).model.cell == "gru"
    with pytest.raises(ConfigError, match=r"model\.cell .*c:4"):
        parse_config(f"{HEAD}  cell: gru\n", "c", ["model.cell.alpha=1"])
