"""Images read row by row: the digits of scikit-learn, an mnist.npz, and the way through the command line."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import ImageRowsTask, parse_config
from rnncli.data.parsing import read_examples
from rnncli.data.tasks import image_rows
from rnncli.data.tasks.image_rows import ImageRows
from rnncli.data.vocabulary import Vocabularies, Vocabulary
from rnncli.errors import ConfigError, DataError, InputError

ROOT = Path(__file__).parents[2]


def task(recorded=None, **options):
    return ImageRows(ImageRowsTask.model_validate(options), recorded)


def mnist(path="mnist.npz", **changed):
    """Two images of 2 x 3 to train on, one to measure on."""
    arrays = {
        "x_train": np.array([[[0, 51, 255], [0, 0, 0]], [[255] * 3] * 2], np.uint8),
        "y_train": np.array([7, 3], np.uint8),
        "x_test": np.array([[[0, 0, 102], [0, 0, 0]]], np.uint8),
        "y_test": np.array([3], np.uint8),
    }
    np.savez(path, **{name: array for name, array in {**arrays, **changed}.items() if array is not None})
    return path


def test_image_rows_splits_digits_by_seed():
    digits = task(held_out=100, seed=1)
    train, test = digits.splits()
    assert (train.source.shape, test.source.shape) == ((1697, 8, 8), (100, 8, 8))
    assert train.source.dtype == np.float32
    assert (train.source.min(), train.source.max()) == (0, 1)
    assert set(train.source_lengths) == {8}
    everything = np.concatenate([train.source, test.source])
    assert len(np.unique(everything, axis=0)) == 1797
    assert digits.target_vocabulary.symbols == tuple("0123456789")
    assert (digits.sizes.source_steps, digits.sizes.features, digits.sizes.target_symbols) == (8, 8, 10)
    np.testing.assert_array_equal(task(held_out=100, seed=1).splits()[1].source, test.source)
    assert not np.array_equal(task(held_out=100, seed=2).splits()[1].source, test.source)


def test_image_rows_read_is_inverse_of_show():
    digits = task()
    image = digits.splits()[1].source[0]
    np.testing.assert_array_equal(np.float32(digits.read_source(digits.show_source(image.tolist()))), image)


@pytest.mark.parametrize("text", ["0,51,255,0,0,0", " 0 51  255\t0 0 0\n", "0, 51, 255, 0, 0, 0.0"])
def test_image_rows_reads_pixels_separated_by_commas_or_spaces(tmp_path, text):
    images = task(path=mnist(tmp_path / "m.npz").as_posix(), rows=2, columns=3)
    np.testing.assert_allclose(images.read_source(text), [[0, 0.2, 1], [0, 0, 0]])
    assert images.show_source(images.read_source(text)) == "0,51,255,0,0,0"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not numbers: ''"),
        ("1,2,x", "not numbers"),
        ("1,,2", "not numbers"),
        ("1,2,3", "3 pixels; an image has 8 x 8"),
        (",".join(["17"] * 64), "a pixel is not from 0 to 16"),
        (",".join(["nan"] * 64), "a pixel is not from 0 to 16"),
        (",".join(["-1"] * 64), "a pixel is not from 0 to 16"),
    ],
)
def test_image_rows_refuses_invalid_pixels(text, problem):
    with pytest.raises(DataError) as refused:
        task(Vocabularies(Vocabulary(()), Vocabulary(("0", "1")))).read_source(text)
    assert refused.value.message.startswith(problem)


def test_read_mnist_reads_images_and_labels(tmp_path):
    images = task(path=str(mnist(tmp_path / "m.npz")), rows=2, columns=3)
    train, test = images.splits()
    np.testing.assert_allclose(train.source[0], [[0, 0.2, 1], [0, 0, 0]])
    assert images.target_vocabulary.symbols == ("3", "7")
    assert (train.target.tolist(), test.target.tolist()) == ([[1], [0]], [[0]])
    assert (images.sizes.source_steps, images.sizes.features) == (2, 3)
    examples = read_examples(images, ["0 0 0 0 0 255\t7"], "f")
    assert (examples.source.shape, examples.target.tolist()) == ((1, 2, 3), [[1]])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"y_test": None}, "an array is missing"),
        ({"x_train": np.zeros((2, 2, 3))}, r"x_train is float64 \[2, 2, 3\], not uint8 \[images, rows, columns\]"),
        ({"x_test": np.zeros((1, 6), np.uint8)}, r"x_test is uint8 \[1, 6\], not uint8 \[images, rows, columns\]"),
        ({"x_test": np.zeros((0, 2, 3), np.uint8)}, r"x_test is uint8 \[0, 2, 3\]"),
        ({"x_test": np.zeros((1, 3, 2), np.uint8)}, "x_test has images of 3 x 2, not 2 x 3"),
        ({"y_train": np.zeros(3, np.uint8)}, r"y_train is uint8 \[3\], not int \[2\]"),
        ({"y_train": np.zeros(2)}, r"y_train is float64 \[2\], not int \[2\]"),
        ({"y_train": np.array([7, 7])}, "fewer than two labels to tell apart"),
        ({"y_train": np.array([7, None])}, "not an .npz file of plain arrays: Object arrays cannot be loaded"),
    ],
)
def test_read_mnist_refuses_other_arrays(tmp_path, changed, problem):
    path = mnist(tmp_path / "m.npz", **changed)
    with pytest.raises(DataError, match=rf"m\.npz: {problem}"):
        task(path=str(path), rows=2, columns=3)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04nonsense", None])
def test_read_mnist_refuses_other_files(tmp_path, content):
    path = tmp_path / "m.npz"
    if content is None:
        path.write_bytes(mnist(tmp_path / "whole.npz").read_bytes()[:-50])
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"m\.npz: "):
        task(path=str(path))
    with pytest.raises(InputError, match=r"elsewhere\.npz: "):
        task(path="elsewhere.npz")


def test_image_rows_refuses_unknown_test_label(tmp_path):
    path = mnist(tmp_path / "m.npz", y_test=np.array([9]))
    with pytest.raises(DataError, match="'9'"):
        task(path=str(path), rows=2, columns=3).splits()


def test_image_rows_without_scikit_learn_gives_install_command(monkeypatch, tmp_path):
    monkeypatch.setattr(image_rows, "find_spec", lambda name: None)
    with pytest.raises(InputError) as refused:
        task()
    assert "pip install scikit-learn" in refused.value.hint
    task(path=str(mnist(tmp_path / "m.npz")), rows=2, columns=3)
    task(Vocabularies(Vocabulary(()), Vocabulary(("0", "1"))))


@pytest.mark.parametrize("option", ["symbols: number", "embedding: 4"])
def test_image_rows_config_refuses_options_of_symbols(option):
    with pytest.raises(ConfigError, match=r"model\.(symbols|embedding)"):
        parse_config(f"task: image_rows\nmodel: {{type: classifier, {option}}}", "c")


@pytest.mark.long
def test_image_rows_trains_through_the_command_line(runtime, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ROOT / "configs/image_rows.yaml"
    run = CliRunner().invoke(main, ["train", str(config), "--set", "training.epochs=15", "--run-dir", "run"])
    assert run.exit_code == 0, run.stderr
    assert "--input FILE" in run.stderr
    measured = json.loads(CliRunner().invoke(main, ["evaluate", "run", "--format", "json"]).stdout)
    assert measured["examples"] == 360
    assert measured["exact_match"] >= 0.95

    digits = task()
    test = digits.splits()[1]
    lines = [digits.show_source(image.tolist()) for image in test.source[:50]]
    labels = [digits.show_target(ids.tolist()) for ids in test.target[:50]]
    monkeypatch.setitem(sys.modules, "sklearn", None)  # predicting needs no data
    answers = CliRunner().invoke(main, ["predict", "run"], input="\n".join(lines) + "\n")
    assert answers.exit_code == 0, answers.stderr
    right = sum(a == b for a, b in zip(answers.stdout.splitlines(), labels, strict=True))
    assert right >= 45
    Path("test.tsv").write_text("".join(f"{line}\t{label}\n" for line, label in zip(lines, labels, strict=True)))
    measured = json.loads(
        CliRunner().invoke(main, ["evaluate", "run", "--input", "test.tsv", "--format", "json"]).stdout
    )
    assert measured["exact"] == right


def test_read_mnist_refuses_archives_with_false_sizes(tmp_path):
    path = mnist(tmp_path / "m.npz")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = struct.pack("<II", 2**30, 2**31)  # packed, unpacked
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x_train .*2,147,483,648"):
        task(path=str(path), rows=2, columns=3)
