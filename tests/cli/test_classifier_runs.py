"""Classifiers through the command line: classes, their metrics and weights, and runs of version 0.1.0."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from rnncli.cli.main import main

pytestmark = pytest.mark.usefixtures("runtime")

CONFIG = """
task: {type: classify, train: train.tsv, validation: validation.tsv, max_length: 4}
model: {type: classifier, units: 4}
training: {epochs: 2, batch_size: 30, csv_log: true, early_stopping: {metric: macro_f1}, class_weight: balanced}
"""
METRICS = ["accuracy", "balanced_accuracy", "macro_f1"]


def rnncli(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result


def logged(run):
    return [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_text("good\tfine film\n" * 19 + "bad\tdull film\n")
    Path("validation.tsv").write_text("good\tfine film\n" * 3 + "bad\tdull film\nbad\tfine film\n")
    Path("c.yaml").write_text(CONFIG)
    return tmp_path


def test_metrics_of_classes_are_logged_shown_and_evaluated(folder):
    trained = rnncli("train", "c.yaml", "--run-dir", "run").stderr
    assert "2 classes: good 19, bad 1\n" in trained
    assert "exact match" not in trained
    assert all(label in trained for label in ("balanced accuracy ", "best epoch", ": macro F1 "))
    best = max(logged("run"), key=lambda epoch: (epoch["macro_f1"], -epoch["loss"]))
    found = json.loads(rnncli("evaluate", "run", "--by", "label", "--format", "json").stdout)
    assert [found[name] for name in METRICS] == pytest.approx([best[name] for name in METRICS])
    assert {label: scores["examples"] for label, scores in found["classes"].items()} == {"good": 3, "bad": 2}
    assert sum(found["confusion"]["bad"].values()) == found["groups"]["label"]["bad"]["examples"] == 2
    shown = rnncli("evaluate", "run", "--by", "label").stdout
    assert all(label in shown for label in ("5 examples, ", "macro F1", "precision", "predicted as"))
    assert "word error rate" not in shown
    columns = Path("run/metrics.csv").read_text().splitlines()[0].split(",")
    assert set(columns) == logged("run")[0].keys()


def test_unknown_symbols_of_predict_are_counted(folder):
    rnncli("train", "c.yaml", "--run-dir", "run", "--quiet", "--set", "training.epochs=1")
    assert "argument:1: unknown symbols 'zzz', 'qqq', 'www'" in rnncli("predict", "run", "zzz qqq www").stderr
    exported = rnncli("export-states", "run", "zzz qqq www", "-o", "unknown.npz")
    assert "argument: 3 unknown symbols ('zzz' 1, 'qqq' 1, 'www' 1)" in exported.stderr


@pytest.mark.long
def test_a_run_without_the_key_of_normal_forms_resumes_with_its_data(folder):
    Path("train.tsv").write_text("\u00e9t\u00e9\tun\nhiver\tdeux\ne\u0301te\u0301\ttrois\n" * 4)
    Path("validation.tsv").write_text("hiver\tun\n")
    config = yaml.safe_load(CONFIG)
    config["training"] = {"epochs": 1, "csv_log": True}
    Path("c.yaml").write_text(yaml.safe_dump(config))
    Path("before.yaml").write_text(yaml.safe_dump(config | {"task": config["task"] | {"normalize": "none"}}))
    rnncli("train", "before.yaml", "--run-dir", "run")
    for name in ("config.yaml", "manifest.json"):
        path = Path("run", name)
        lines = path.read_text().replace("  normalize: none\\n", "").replace("  normalize: none\n", "")
        path.write_text(lines)
    assert "normalize" not in Path("run/config.yaml").read_text() + Path("run/manifest.json").read_text()
    Path("run/metrics.csv").write_text("epoch,loss,step,val_exact_match\r\n0,1.5,1.0,0.5\r\n")
    rnncli("train", "c.yaml", "--resume", "run", "--set", "training.epochs=2")
    assert len(logged("run")) == 2
    assert Path("run/metrics.csv").read_bytes().splitlines()[2].startswith(b"1,")
