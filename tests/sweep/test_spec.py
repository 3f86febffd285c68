"""Sweep files: what is read, what is refused with its line and key."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from rnncli.cli.main import main
from rnncli.errors import ConfigError
from rnncli.sweep.reader import read_sweep, split_values

BASE = "task: {type: addition, digits: 1, examples: 50, held_out: 10}\nmodel: encoder_decoder\n"
PAIRS = "task: {type: pairs, train: a.tsv, validation: b.tsv, test: c.tsv}\nmodel: encoder_decoder\n"


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)
    Path("pairs.yaml").write_text(PAIRS)


def read(text, *overrides, **options):
    Path("s.yaml").write_text(text)
    return read_sweep("s.yaml", overrides, options)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("config: base.yaml\nspace:\n  training.learning_rat: [1, 2]\n", "s.yaml:3: training.learning_rat: unknown"),
        ("config: base.yaml\nspace:\n  model.cell: [lstm, grU]\n", "s.yaml:3: model.cell: 'grU'"),
        ("config: base.yaml\nspace:\n  training.epochs: 3\n", "s.yaml:3: training.epochs: not a list"),
        ("config: base.yaml\nspace:\n  training.epochs: [3, 3]\n", "s.yaml:3: training.epochs: 3 is given twice"),
        ("config: base.yaml\nspace:\n  training.epochs: []\n", "s.yaml:3: training.epochs: not a list"),
        ("config: base.yaml\nspace:\n  training.epochs: {range: [3]}\n", "s.yaml:3: training.epochs.range: not two"),
        ("config: base.yaml\nspace:\n  training.epochs: {range: [3, 1]}\n", "s.yaml:3: training.epochs.range: 3 is"),
        ("config: base.yaml\nspace:\n  training.epochs: {from: 3}\n", "s.yaml:3: training.epochs: not a range"),
        ("config: base.yaml\nspace:\n  training.epochs: {range: [0, 3]}\n", "s.yaml:3: training.epochs: 0 is not"),
        ("config: base.yaml\nspace:\n  training.clip_norm: {log: [0, 3]}\n", "s.yaml:3: training.clip_norm.log: 0"),
        ("config: base.yaml\nspace:\n  training.seed: [0, 3]\n", "s.yaml:3: training.seed: no setting"),
        ("config: pairs.yaml\nspace:\n  task.test: [d.tsv, e.tsv]\n", "s.yaml:3: task.test: all trials"),
        ("config: base.yaml\nspace: 3\n", "s.yaml:2: space: not a mapping"),
        ("config: base.yaml\nset: 3\nspace: {model.cell: [lstm, gru]}\n", "s.yaml:2: set: not a mapping"),
        ("space: {model.cell: [lstm, gru]}\n", "s.yaml:1: config: missing"),
        ("space: {model.cell: [lstm, gru]}\nconfig: none.yaml\n", "s.yaml:2: config: none.yaml: no such file"),
        ("space: {model.cell: [lstm, gru]}\nconfig: 3\n", "s.yaml:2: config: must be"),
        ("config: base.yaml\nspace: {model.cell: [lstm, gru]}\nseeds: [0, 0]\n", "s.yaml:3: seeds: not a list"),
        ("config: base.yaml\nspace: {model.cell: [lstm, gru]}\nseeds: [-1]\n", "s.yaml:3: seeds: seeds are"),
        (
            "config: base.yaml\nspace: {model.cell: [lstm, gru]}\nsampler: tp\n",
            "s.yaml:3: sampler: 'tp' is not known",
        ),
        ("config: base.yaml\nspace: {model.cell: [lstm, gru]}\npruning: x\n", "s.yaml:3: pruning: 'x' is not known"),
        ("config: base.yaml\nspace: {model.cell: [lstm, gru]}\ntrials: 0\n", "s.yaml:3: trials: 0 is not"),
        ("config: base.yaml\nspace: {model.cell: [lstm, gru]}\nmax_time: 3\n", "s.yaml:3: max_time: must be a time"),
        ("config: base.yaml\nspace: {model.cell: [lstm, gru]}\nmetric: bleu\n", "s.yaml:3: metric: bleu is none"),
        ("config: base.yaml\nspace: {model.cell: [lstm, gru]}\ntirals: 3\n", "s.yaml:3: tirals: unknown key; did"),
        (
            "config: base.yaml\nspace: {training.epochs: {range: [1, 9]}}\nsampler: grid\n",
            "s.yaml:2: training.epochs:",
        ),
        ("config: base.yaml\nspace: {}\n", "s.yaml:1: nothing to choose"),
        ("config: base.yaml\nset: {training.seed: 5}\nseeds: [1, 2]\nspace: {}\n", "s.yaml:2: training.seed: given"),
        ("config: base.yaml\nset: {training.seed: a}\nspace: {}\n", "s.yaml:2: training.seed: 'a' is not"),
        (
            "config: base.yaml\nset: {model.cell: gru}\nspace: {model.cell: [lstm, gru]}\n",
            "s.yaml:2: model.cell: given in space",
        ),
    ],
)
def test_malformed_sweeps_are_refused_with_line_and_key(text, problem):
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert refused.value.message.startswith(problem)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["sweep", "base.yaml"], 2),
        (["sweep", "base.yaml", "--set", "model.cell=lstm,grU"], 2),
        (["sweep", "base.yaml", "--set", "model.cell=lstm,gru", "--sampler", "best"], 2),
        (["sweep", "base.yaml", "--set", "model.cell=lstm,gru", "--format", "json"], 2),
        (["sweep", "base.yaml", "--set", "model.cell=lstm,gru", "--overwrite"], 2),
        (["sweep", "show", "sweep", "--overwrite"], 2),
        (["sweep", "show", "sweep", "--quiet"], 2),
        (["sweep", "show", "sweep", "--trust-code"], 2),
        (["sweep", "show", "nothing"], 2),
        (["sweep", "show", "."], 2),
        (["sweep", "."], 2),
        (["sweep", "pairs.yaml", "--set", "model.cell=lstm,gru"], 2),
    ],
)
def test_what_cannot_be_swept_is_refused_and_leaves_nothing(arguments, status):
    before = sorted(Path().rglob("*"))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == status
    assert result.stderr.startswith(("error: ", "Usage"))
    assert sorted(Path().rglob("*")) == before


def test_overrides_with_commas_are_lists_and_seeds_are_no_setting():
    spec = read_sweep("base.yaml", ["model.cell=lstm,gru", "training.seed=3,1", "training.epochs=2"])
    assert (list(spec.space), spec.seeds, spec.sampler, spec.trials) == (["model.cell"], (3, 1), "grid", 4)
    config = spec.config({"model.cell": "gru"}, 3)
    assert (config.model.cell, config.training.seed, config.training.epochs) == ("gru", 3, 2)


def test_overrides_and_options_win_over_the_file():
    text = (
        "config: base.yaml\nset: {training.epochs: 4}\nspace: {model.cell: [lstm, gru]}\ntrials: 3\nsampler: random\n"
    )
    spec = read(text, "model.cell=gru", "training.learning_rate={log: [1e-3, 1e-1]}", trials=7)
    assert (list(spec.space), spec.trials, spec.sampler) == (["training.learning_rate"], 7, "random")
    config = spec.config({"training.learning_rate": 0.01}, 0)
    assert (config.model.cell, config.training.epochs) == ("gru", 4)


def test_trials_never_name_test_data_but_the_best_config_does():
    spec = read_sweep("pairs.yaml", ["model.cell=lstm,gru"])
    assert spec.config({"model.cell": "gru"}, 0).task.test is None
    assert spec.config({"model.cell": "gru"}, 0, test=True).task.test.file == "c.tsv"


def test_a_sweep_reads_back_what_it_writes():
    text = "config: pairs.yaml\nspace:\n  training.learning_rate: {log: [1e-3, 0.1]}\n  model.cell: [lstm, gru]\n"
    spec = read(f"{text}seeds: [4, 5]\nmax_time: 300 hours\npruning: asha\n")
    Path("dir").mkdir()
    Path("dir/config.yaml").write_text(spec.base_text())
    Path("dir/sweep.yaml").write_text(spec.text("config.yaml"))
    again = read_sweep("dir/sweep.yaml")
    assert again.text("config.yaml") == spec.text("config.yaml")
    assert (again.max_time, again.seeds) == (1_080_000.0, (4, 5))
    settings = {"training.learning_rate": 0.02, "model.cell": "gru"}
    trained = again.config(settings, 4)
    assert trained.task.train.file == str(Path("a.tsv").absolute())
    assert trained.training == spec.config(settings, 4).training


def test_a_seed_in_set_is_the_seed_of_the_trials():
    assert read("config: base.yaml\nset: {training.seed: 5}\nspace: {model.cell: [lstm, gru]}\n").seeds == (5,)


def test_file_names_in_the_space_start_from_the_directory_of_the_config():
    Path("data").mkdir()
    Path("data/pairs.yaml").write_text(PAIRS)
    space = "{task.train: [a.tsv, {source: s, target: t}], task.vocabulary: [null, v]}"
    spec = read(f"config: data/pairs.yaml\nspace: {space}\n")
    Path("dir").mkdir()
    Path("dir/config.yaml").write_text(spec.base_text())
    Path("dir/sweep.yaml").write_text(spec.text("config.yaml"))
    again = read_sweep("dir/sweep.yaml")
    assert again.text("config.yaml") == spec.text("config.yaml")
    tasks = [
        again.config({"task.train": train, "task.vocabulary": None}, 0).task
        for train in again.space["task.train"].values
    ]
    folder = Path("data").absolute()
    assert tasks[0].train.file == str(folder / "a.tsv")
    assert (tasks[1].train.source, tasks[1].train.target) == (str(folder / "s"), str(folder / "t"))
    assert again.space["task.vocabulary"].values == (None, str(folder / "v"))


@given(st.lists(st.sampled_from(["a", "{log: [1, 2]}", "'b,c'", "[3, [4, 5]]", '"]"']), min_size=1))
def test_commas_inside_of_a_value_separate_none(values):
    assert split_values(",".join(values)) == values
