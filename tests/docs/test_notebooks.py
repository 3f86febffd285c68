"""The notebooks run from the first cell to the last."""

import json
from pathlib import Path

import matplotlib
import pytest

pytestmark = pytest.mark.usefixtures("runtime")

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))
SMALL = [
    "training.epochs=2",
    "task.examples=400",
    "task.held_out=50",
    "model.encoder.units=16",
    "model.decoder.units=16",
]


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    from matplotlib import pyplot

    cells = json.loads(path.read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells), "outputs are not kept, so that they cannot be old"
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"]).replace('["training.epochs=6"]', repr(SMALL))
            exec(compile(source, f"{path.name}, {cell['id']}", "exec"), names)
            pyplot.close("all")
    assert Path(capsys.readouterr().out.splitlines()[-1]).is_dir(), "the last cell prints the run directory"
    assert names["states"]["decoder/0/forward/h"].shape[0] == 1
