"""`rnncli export`, and answers of exports without TensorFlow."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from heavy_imports import run_and_list_heavy

from rnncli.cli.main import main
from rnncli.errors import ConfigError
from rnncli.export import comparison, exporter
from rnncli.inference import backends, onnx_backend, tensorflow_backend
from rnncli.runs.directory import RunDir
from rnncli.training.inputs import TrainingInputs
from rnncli.training.job import TrainingJob

RUNS = Path(__file__).parents[1] / "runs" / "version_0_1_0"
SUM, PAIR = "1+2", "7890"


def rnncli(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def run(tmp_path):
    """A copy of a tiny trained run."""
    return Path(shutil.copytree(RUNS / "addition-whole", tmp_path / "run"))


@pytest.fixture
def exported(run):
    """The same with an export of its own."""
    exporter.export_into_run(backends.load(run), "onnx")
    return run


@pytest.fixture
def no_tensorflow(monkeypatch):
    """Let the backend of TensorFlow fail instead of importing it."""

    def start(request):
        raise AssertionError(f"TensorFlow was asked for {request.saved.path}")

    monkeypatch.setattr(tensorflow_backend, "start", start)


@pytest.mark.usefixtures("runtime")
def test_export_writes_graphs_and_compares_their_answers(run, tmp_path):
    result = rnncli("export", run, "-o", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "10 of 10 equal" in result.stdout
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"predict.onnx", "encode.onnx", "step.onnx"}
    again = rnncli("export", run, "-o", tmp_path / "model")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert rnncli("export", run, "-o", tmp_path / "model", "--overwrite", "--checkpoint", "last").exit_code == 0


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    "options", [(), ("--format", "tsv"), ("--format", "jsonl"), ("--beam", "3", "--n-best", "2", "--scores")], ids=str
)
def test_an_export_answers_as_its_run_does(exported, options):
    lines = [f"{a}+{b}" for a in range(3) for b in range(3)] + ["no sum"]
    found, wanted = (rnncli("predict", exported, *lines, *options, "--backend", b) for b in ("onnx", "tensorflow"))
    assert found.exit_code == wanted.exit_code == 1, "for the line that is no sum"
    assert [rounded(line) for line in found.stdout.split()] == [rounded(line) for line in wanted.stdout.split()]


def rounded(word):
    try:
        return f"{float(word.rstrip(',}')):.3f}"
    except ValueError:
        return word


def test_neither_an_exported_file_nor_a_run_with_an_export_imports_tensorflow(exported):
    file = exported / "exports" / "onnx" / "predict.onnx"
    for path in (file, exported):
        assert run_and_list_heavy("predict", path, SUM) == (0, [])


@pytest.mark.usefixtures("no_tensorflow")
def test_a_folder_of_graphs_answers_and_its_attention_is_written(tmp_path):
    exporter.export(backends.load(RUNS / "pairs_attention-whole"), "onnx", tmp_path / "model")
    result = rnncli("predict", tmp_path / "model", PAIR, "--attention", tmp_path / "attention.npz", "--beam", "2")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "attention.npz").exists()


@pytest.mark.usefixtures("no_tensorflow")
def test_a_stateful_export_carries_its_states(tmp_path):
    exporter.export(backends.load(RUNS / "stateful-whole"), "onnx", tmp_path / "model")
    result = rnncli("predict", tmp_path / "model", "ABC", "BCD", "--state-out", tmp_path / "end.npz")
    assert result.exit_code == 0, result.output
    again = rnncli("predict", tmp_path / "model", "ABC", "BCD", "--state-in", tmp_path / "end.npz")
    assert again.exit_code == 0, again.output


def test_an_export_of_other_weights_is_not_used_and_that_is_said(exported, monkeypatch):
    asked = []
    monkeypatch.setattr(tensorflow_backend, "start", asked.append)
    saved = backends.load(exported)
    other = type(saved)(**{**vars(saved), "weights": {name: array + 1 for name, array in saved.weights.items()}})
    notes = []
    backends.start(backends.Request(other), note=notes.append)
    assert len(asked) == len(notes) == 1
    assert "weights" in notes[0]
    with pytest.raises(backends.InputError, match="weights"):
        backends.start(backends.Request(other), "onnx")


def test_a_damaged_export_is_not_used_and_that_is_said(exported, monkeypatch):
    monkeypatch.setattr(tensorflow_backend, "start", lambda request: request)
    (exported / "exports" / "onnx" / "predict.onnx").write_bytes(b"damaged")
    notes = []
    backends.start(backends.Request(backends.load(exported)), note=notes.append)
    assert "predict.onnx" in notes[0]


def test_a_graph_alone_answers_greedily_and_names_what_more_needs(exported, tmp_path):
    file = shutil.copy(exported / "exports" / "onnx" / "predict.onnx", tmp_path / "sums.onnx")
    assert rnncli("predict", file, SUM).exit_code == 0
    for more, word in (
        (("--beam", 2), "encode.onnx"),
        (("--device", "gpu"), "CPU"),
        (("--checkpoint", "last"), "last"),
    ):
        result = rnncli("predict", file, SUM, *more)
        assert result.exit_code == 2, result.output
        assert word in result.stderr or more[0] in result.stderr


def test_no_link_in_a_run_is_followed(exported):
    graph = exported / "exports" / "onnx" / "predict.onnx"
    graph.rename(exported / "elsewhere.onnx")
    graph.symlink_to(exported / "elsewhere.onnx")
    assert "link" in onnx_backend.refusal(backends.Request(backends.load(exported))).reason


@pytest.mark.parametrize(
    ("request_of", "word"),
    [
        (lambda saved: backends.Request(saved, [saved]), "ensemble"),
        (lambda saved: backends.Request(saved, device="gpu"), "CPU"),
    ],
)
def test_what_only_tensorflow_can_do_goes_there(exported, request_of, word):
    request = request_of(backends.load(exported))
    assert word in onnx_backend.refusal(request).reason
    assert not onnx_backend.refusal(request).surprising
    assert tensorflow_backend.refusal(request) is None


def test_a_run_without_an_export_is_tensorflows(run):
    refusal = onnx_backend.refusal(backends.Request(backends.load(run)))
    assert "rnncli export" in refusal.hint
    assert not refusal.surprising


def test_refusals(run, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    shutil.copytree(RUNS / "custom_cell-whole", tmp_path / "custom")
    cases = [
        (("export", run, "-o", tmp_path / "model.onnx"), "folder"),
        (("export", run, "-o", tmp_path / "mine", "--overwrite"), "not overwritten"),
        (("export", run, "--checkpoint", "last"), "--output"),
        (("export", run, "--weights", "int8"), "--output"),
        (("export", tmp_path / "custom", "-o", tmp_path / "cell"), "--trust-code"),
        (("export", tmp_path / "no-run", "-o", tmp_path / "x"), "no such run"),
        (("predict", tmp_path / "nothing.onnx", SUM), "nothing.onnx"),
        (("predict", run, SUM, "--backend", "onnx"), "no export"),
    ]
    for arguments, word in cases:
        result = rnncli(*arguments)
        assert result.exit_code == 2, result.output
        assert word in result.stderr
    assert (tmp_path / "mine" / "notes.txt").exists()
    monkeypatch.setattr(exporter, "find_spec", lambda _: None)
    assert "export-onnx" in rnncli("export", run, "-o", tmp_path / "model").stderr
    assert not (run / "exports").exists()


@pytest.mark.usefixtures("runtime")
def test_training_ends_with_an_export_if_the_config_asks_for_one(run, monkeypatch):
    from rnncli.training import loop

    config = RunDir(run).read_config(["training.export=onnx"])
    outcome = loop.Outcome({}, "exact_match", [], {})
    monkeypatch.setattr(loop, "train", lambda *_, **__: outcome)
    warnings = []
    assert TrainingJob(config, RunDir(run), TrainingInputs.read(config)).run(warn=warnings.append) is outcome
    assert warnings == []
    assert onnx_backend.refusal(backends.Request(backends.load(run))) is None


def test_a_custom_cell_and_an_export_in_onnx_exclude_each_other():
    with pytest.raises(ConfigError, match=r"training\.export"):
        RunDir(RUNS / "custom_cell-whole").read_config(["training.export=onnx"])


def test_a_missing_runtime_is_said_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr(comparison, "find_spec", lambda _: None)
    assert "export-onnx" in comparison.runtime_problem("onnx")


def test_sources_are_random_where_the_data_is_gone(tmp_path):
    saved = backends.load(RUNS / "pairs_attention-whole")
    source, lengths, kind, left_out = comparison.sources_of(saved)
    assert kind == "random"
    assert "pairs.tsv" in left_out
    assert source.shape == (comparison.SOURCES, saved.task.sizes.source_steps)
    assert (source[0, lengths[0] :] == 0).all()


@pytest.mark.parametrize("word", ["changed", "pipe"])
def test_no_file_is_compared_on_that_training_did_not_record(tmp_path, word):
    other = tmp_path / "other.tsv"
    other.write_text("1234\t4321\n")
    named = "/dev/stdin" if word == "pipe" else str(other)
    run = shutil.copytree(RUNS / "pairs_attention-whole", tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"\S*pairs\.tsv", named, config))
    found = comparison.sources_of(backends.load(run))
    assert found.kind == "random"
    assert word in found.left_out


@pytest.mark.usefixtures("runtime")
def test_export_says_why_it_does_not_compare_on_held_out_sources(tmp_path):
    result = rnncli("export", RUNS / "pairs_attention-whole", "-o", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "random" in result.stdout
    assert "pairs.tsv" in result.stderr


@pytest.mark.parametrize("place", ["export_into_run", "compare_with_run"])
def test_training_is_finished_whatever_its_export_does(run, monkeypatch, place):
    def fail(*_):
        raise ValueError("of a converter")

    monkeypatch.setattr(exporter, "export_into_run", lambda saved, _: saved.path / "exports")
    monkeypatch.setattr(exporter if place == "export_into_run" else comparison, place, fail)
    warnings = []
    TrainingJob(RunDir(run).read_config(), RunDir(run))._export("onnx", warnings.append)
    assert len(warnings) == 1
    assert "ValueError" in warnings[0]
    assert str(run) in warnings[0]
