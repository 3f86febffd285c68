"""Sweeps that are trained, pruned, killed and taken up again, with a training that needs no TensorFlow."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import fake_training
import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import load_config
from rnncli.errors import InputError, RunDirError
from rnncli.inference import ensembles
from rnncli.runs.directory import RunDir
from rnncli.sweep import report, runner, samplers, study, training
from rnncli.sweep.reader import read_sweep
from rnncli.sweep.study import Sweep, begin

BASE = "task: {type: addition, digits: 1, examples: 50, held_out: 10}\nmodel: encoder_decoder\n"
RATES = "config: base.yaml\nspace:\n  training.learning_rate: {log: [1e-3, 0.5]}\n  model.cell: [lstm, gru]\n"


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)
    monkeypatch.setattr(training, "COMMAND", (sys.executable, fake_training.__file__))
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(runner, "WAIT_SECONDS", 0.02)


def made(text, path="dir", **options):
    Path("s.yaml").write_text(text)
    return begin(read_sweep("s.yaml", options=options), Path(path))


def trained(sweep, jobs=1):
    lines = []
    assert runner.Runner(sweep, training.LocalEngine(jobs), lines.append).run()
    return lines


def ended(sweep):
    """All that is recorded of the trials, but for times."""
    return [
        (trial.number, trial.state.name, trial.value, trial.params, trial.intermediate_values, trial.user_attrs)
        for trial in sweep.trials()
    ]


class Killed(BaseException):
    pass


def kill_in(sweep, trial, epoch, monkeypatch):
    """Let a process work on a sweep, and kill it with its training when a trial has reached an epoch."""
    look = runner.Running.look

    def look_and_die(self):
        ended = look(self)
        if not ended and self.claimed.number == trial and self._seen >= epoch:
            raise Killed
        return ended

    def kill(self):
        for running in filter(None, self._slots):
            running.process._process.kill()
            running.process.wait()
            running.process.close()
            os.close(running.claimed.lock)

    with monkeypatch.context() as patched:
        patched.setattr(runner.Running, "look", look_and_die)
        patched.setattr(runner.Runner, "_stop", kill)
        with pytest.raises(Killed):
            runner.Runner(sweep, training.LocalEngine(1), lambda _line: None).run()


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_killed_sweep_ends_with_the_same_trials(sampler, monkeypatch):
    monkeypatch.setattr(samplers, "STARTUP_POINTS", 1)
    text = f"{RATES}sampler: {sampler}\npruning: median\ntrials: 8\nseeds: [0, 1]\n"
    whole = made(text, "whole")
    trained(whole)
    made(text)
    for trial, epoch in ((0, 1), (1, 0), (5, 1)):
        kill_in(Sweep(Path("dir")), trial, epoch, monkeypatch)
    killed = Sweep(Path("dir"))
    assert killed.unfinished()
    trained(killed)
    assert ended(killed) == ended(whole)
    assert len(killed.trials()) == 8
    assert {trial.state.name for trial in killed.trials()} == {"COMPLETE", "PRUNED"}


def test_grid_trains_every_combination_with_every_seed():
    sweep = made("config: base.yaml\nspace: {training.learning_rate: [0.1, 0.2, 0.3]}\nseeds: [0, 5]\n")
    trained(sweep, jobs=3)
    found = [
        (trial.user_attrs["seed"], json.loads(trial.params["training.learning_rate"])) for trial in sweep.trials()
    ]
    assert found == [(0, 0.1), (5, 0.1), (0, 0.2), (5, 0.2), (0, 0.3), (5, 0.3)]
    best = report.points_of(sweep)[0]
    assert (best.settings, best.values) == ({"training.learning_rate": 0.1}, [0.9, 0.85])
    assert best.mean == pytest.approx(0.875)
    assert best.half_width == pytest.approx(12.706 * 0.025)  # t of one degree of freedom; the standard error
    assert not list(Path("dir/trials").glob("*.lock"))


def test_finished_trials_are_not_run_again_and_more_can_be_asked_for():
    sweep = made(f"{RATES}trials: 2\n")
    trained(sweep)
    before = ended(sweep)
    assert trained(Sweep(Path("dir"))) == []
    result = CliRunner().invoke(main, ["sweep", "dir", "--trials", "3"])
    assert result.exit_code == 0, result.stderr
    assert ended(Sweep(Path("dir")))[:2] == before
    assert len(Sweep(Path("dir")).trials()) == 3


def test_two_processes_share_the_trials():
    one = made(f"{RATES}trials: 4\n")
    other = Sweep(Path("dir"))
    claimed = [sweep.claim() for sweep in (one, other, one, other)]
    assert [each.number for each in claimed] == [0, 1, 2, 3]
    assert other.claim() is None
    claimed[1].release()
    assert one.claim().number == 1
    assert one.unfinished() == 4


def test_failed_trials_say_why_and_the_others_go_on():
    sweep = made("config: base.yaml\nspace: {task.digits: [9, 1], training.learning_rate: [0.1]}\n")
    lines = trained(sweep)
    assert [trial.state.name for trial in sweep.trials()] == ["FAIL", "COMPLETE"]
    assert report.failures(sweep) == [(0, "nine digits")]
    assert "nine digits" in lines[0]


def test_training_that_is_killed_is_resumed_and_fails_after_some_kills(monkeypatch):
    sweep = made("config: base.yaml\nspace: {training.epochs: [1000], training.learning_rate: [0.1]}\n")
    looked = runner.Running.look

    def look(self):
        if self._seen >= 2:
            self.process._process.kill()
            self.process.wait()
        return looked(self)

    monkeypatch.setattr(runner.Running, "look", look)
    (line,) = trained(sweep)
    assert "killed by signal 9" in line


def test_trial_whose_training_cannot_be_started_is_left_to_others(monkeypatch):
    sweep = made(f"{RATES}trials: 1\n")

    def start(*_):
        raise OSError(11, "no process can be made")

    monkeypatch.setattr(training.LocalEngine, "start", start)
    with pytest.raises(OSError, match="no process"):
        trained(sweep)
    assert Sweep(Path("dir")).claim().number == 0


def test_time_limit_stops_with_what_is_left_to_do():
    sweep = made("config: base.yaml\nspace: {training.epochs: [1000, 999], training.learning_rate: [0.1]}\n")
    sweep.spec = read_sweep("dir/sweep.yaml", options={"max_time": "0.2 seconds"})
    assert not runner.Runner(sweep, training.LocalEngine(1), lambda _line: None).run()
    assert [trial.state.name for trial in sweep.trials()] == ["RUNNING"]
    assert sweep.claim().number == 0


def test_other_sweep_in_the_same_directory_is_refused():
    made(f"{RATES}trials: 2\n")
    with pytest.raises(RunDirError, match='sampler is "tpe" there and "random" here'):
        made(f"{RATES}trials: 2\nsampler: random\n")
    with pytest.raises(RunDirError, match=r"seeds is .* there and \[0, 1, 2\] here"):
        made(f"{RATES}trials: 2\nseeds: [0, 1, 2]\n")
    Path("base.yaml").write_text(BASE.replace("examples: 50", "examples: 40"))
    with pytest.raises(RunDirError, match=r"task\.examples is 50 there and 40 here"):
        made(f"{RATES}trials: 2\n")
    Path("base.yaml").write_text(BASE)
    assert made(f"{RATES}trials: 5\n").spec.trials == 5


def test_unfinished_line_of_the_journal_is_dropped():
    sweep = made(f"{RATES}trials: 2\n")
    trained(sweep)
    with Path("dir/journal.log").open("a") as file:
        file.write('{"op_code": 5, "tri')
    assert ended(Sweep(Path("dir"))) == ended(sweep)


@pytest.mark.parametrize("is_link", [True, False])
def test_foreign_directory_in_place_of_a_run_keeps_its_files(is_link):
    folder = Path("documents") if is_link else Path("dir/trials/0000")
    sweep = made(f"{RATES}trials: 1\n")
    (folder / "code").mkdir(parents=True)
    files = [folder / "letter.txt", folder / "code/cell.py"]
    for file in files:
        file.write_text("mine")
    if is_link:
        Path("dir/trials/0000").symlink_to(folder.absolute())
        with pytest.raises(RunDirError, match=r"trials/0000: is a link"):
            trained(sweep)
        assert sweep.claim().number == 0, "released"
    else:
        trained(sweep)
        assert [trial.state.name for trial in sweep.trials()] == ["FAIL"]
    assert [file.read_text() for file in files] == ["mine", "mine"]
    assert sorted(path.name for path in folder.iterdir()) == ["code", "letter.txt"]


def test_what_a_killed_claim_left_is_removed():
    sweep = made(f"{RATES}trials: 1\n")
    run = Path("dir/trials/0000")
    (run / "checkpoints").mkdir(parents=True)
    (run / f".config.yaml-{'0' * 16}").write_text("ta")
    runner._remove_unbegun(run)
    assert not list(run.iterdir())
    run.rmdir()
    trained(sweep)
    before = sorted(run.iterdir())
    runner._remove_unbegun(run)
    assert sorted(run.iterdir()) == before


@pytest.mark.parametrize("name", ["journal.log", "journal.log.lock", "lock", "trials/0000.lock"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_links_and_pipes_in_place_of_the_files_of_a_sweep_are_refused(name, kind):
    made(f"{RATES}trials: 1\n")
    path, notes = Path("dir") / name, Path("notes.txt")
    notes.write_text("a line\nwithout an end")
    path.unlink(missing_ok=True)
    path.symlink_to(notes.absolute()) if kind == "link" else os.mkfifo(path)
    with pytest.raises(RunDirError, match=name):
        trained(Sweep(Path("dir")))
    assert notes.read_text() == "a line\nwithout an end"
    if name == "journal.log":
        assert CliRunner().invoke(main, ["sweep", "show", "dir"]).exit_code == 2


def test_journal_over_the_limit_is_refused(monkeypatch):
    made(f"{RATES}trials: 1\n")
    monkeypatch.setattr(study, "MAX_JOURNAL", 10)
    for read_only in (False, True):
        with pytest.raises(InputError, match=r"journal\.log: larger than 10 bytes"):
            Sweep(Path("dir"), read_only)


def test_show_leaves_the_journal_as_it_is():
    trained(made(f"{RATES}trials: 2\n"))
    with Path("dir/journal.log").open("a") as file:
        file.write('{"op_code": 5, "tri')
    before = Path("dir/journal.log").read_bytes()
    result = CliRunner().invoke(main, ["sweep", "show", "dir", "--format", "json"])
    assert (result.exit_code, json.loads(result.stdout)["unfinished"]) == (0, 0), result.stderr
    assert Path("dir/journal.log").read_bytes() == before


@pytest.mark.parametrize("written", range(2))
def test_sweep_that_was_killed_while_it_was_made_is_made_again(written, monkeypatch):
    write, left = study.write_atomically, iter(range(written))

    def write_some(path, data):
        if next(left, None) is None:
            path.with_name(f".{path.name}-{'0' * 16}").write_bytes(data[:5])
            raise Killed
        write(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(study, "write_atomically", write_some)
        with pytest.raises(Killed):
            made(f"{RATES}trials: 1\n")
    assert made(f"{RATES}trials: 1\nsampler: random\n").spec.sampler == "random"
    assert not list(Path("dir").glob(".*"))


def test_processes_that_make_one_sweep_at_once_share_it():
    Path("s.yaml").write_text(f"{RATES}trials: 1\n")
    spec = read_sweep("s.yaml")
    with ThreadPoolExecutor(4) as pool:
        sweeps = list(pool.map(lambda _: begin(spec, Path("dir")), range(4)))
    assert [sweep.spec.trials for sweep in sweeps] == [1] * 4


@pytest.mark.parametrize("files", [["config.yaml"], ["lock", "letter.txt"], ["lock", "trials/0000/config.yaml"]])
def test_directory_of_something_else_is_refused(files):
    for file in files:
        Path("dir", file).parent.mkdir(parents=True, exist_ok=True)
        Path("dir", file).write_text("mine")
    with pytest.raises(RunDirError, match="is no sweep"):
        made(f"{RATES}trials: 1\n")
    found = sorted(str(path.relative_to("dir")) for path in Path("dir").rglob("*") if path.is_file())
    assert (found, {Path("dir", file).read_text() for file in files}) == (sorted(files), {"mine"})


def test_code_of_a_sweep_that_was_there_is_executed_only_where_the_user_says_so(monkeypatch):
    Path("gate.py").write_text("class Gate:\n    pass\n")
    fixed = "{model.cell: {type: custom, class: 'gate:Gate'}}"
    made(f"config: base.yaml\nset: {fixed}\nspace: {{training.learning_rate: [0.1, 0.2]}}\n")
    before = sorted(Path().rglob("*"))
    for arguments in (["dir"], ["s.yaml", "--dir", "dir"]):
        result = CliRunner().invoke(main, ["sweep", *arguments])
        assert (result.exit_code, sorted(Path().rglob("*"))) == (2, before)
        assert "--trust-code" in result.stderr
    result = CliRunner().invoke(main, ["sweep", "dir", "--trust-code"])
    assert result.exit_code == 0, result.stderr
    assert [trial.state.name for trial in Sweep(Path("dir")).trials()] == ["COMPLETE", "COMPLETE"]
    saved = SimpleNamespace(path=Path("run"), config=load_config("dir/config.yaml"))
    monkeypatch.setattr(RunDir, "load", lambda *_, **__: saved)
    monkeypatch.setattr(ensembles, "check_ensemble_compatible", lambda *_: None)
    result = CliRunner().invoke(main, ["sweep", "show", "dir", "--ensemble", "2", "--format", "json"])
    assert "--trust-code" in json.loads(result.stdout)["ensemble"].split()


def test_damaged_journal_is_named():
    made(f"{RATES}trials: 2\n")
    Path("dir/journal.log").write_text("nonsense\n")
    with pytest.raises(RunDirError, match=r"journal\.log: damaged"):
        Sweep(Path("dir"))


def test_show_has_means_importance_best_config_and_figure():
    sweep = made(f"{RATES}trials: 6\nsampler: random\nseeds: [0, 1]\n")
    trained(sweep, jobs=2)
    result = CliRunner().invoke(main, ["sweep", "show", "dir", "--format", "json", "-o", "figure.svg"])
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert (facts["unfinished"], len(facts["points"])) == (0, 3)
    means = [point["mean"] for point in facts["points"]]
    assert means == sorted(means, reverse=True)
    low, high = facts["points"][0]["interval"]
    assert low < means[0] < high
    assert facts["importance"]["training.learning_rate"] > facts["importance"]["model.cell"]
    assert "training.learning_rate" in Path("figure.svg").read_text()
    assert load_config("dir/best.yaml").training.learning_rate == pytest.approx(
        facts["points"][0]["settings"]["training.learning_rate"]
    )
