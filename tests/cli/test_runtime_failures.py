"""Failures at run time: memory, disk, streams, terminals and homes."""

import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from unittest.mock import Mock

import pytest
import without_xla
from bad_input import assert_one_error, assert_refused, rnncli, tree

from rnncli.runs.directory import RunDir

ROOT = Path(__file__).parents[2]
TINY = """
task: {type: addition, digits: 2, examples: 400, held_out: 50}
model: {type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}
training: {epochs: 2, batch_size: 1000}
"""
PAIRS = """
task: {type: pairs, train: wörter.tsv, validation: wörter.tsv, max_source_length: 4, max_target_length: 4}
model: {type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}
training: {epochs: 1}
"""


SMALLEST = "model={type: classifier, cell: simple_rnn, units: 4}"
TOO_LITTLE = """
import resource, sys
import tensorflow
from rnncli.cli.main import main
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    return tmp_path


def environment(**changes):
    """A whole environment without a home, and a cache of compilations if the tests have one."""
    kept = {
        key: os.environ[key] for key in ("XDG_CACHE_HOME", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES") if key in os.environ
    }
    return {**kept, "PATH": os.defpath, "PYTHONPATH": str(ROOT), **changes}


def started(*arguments, command=(without_xla.__file__,), **options):
    return subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)],
        **{"env": environment(), "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        | options,
    )


def shell(command, **options):
    command = command.replace("rnncli", f"{sys.executable} {without_xla.__file__}")
    return subprocess.run(
        ["bash", "-c", command],
        **{"env": environment(), "capture_output": True, "text": True, "check": False, "timeout": 300} | options,
    )


@pytest.fixture(scope="module", autouse=True)
def short_of_memory(tmp_path_factory, request):
    """A process that trains with too little memory, begun before all tests: TensorFlow waits 10 s for more."""
    if not any(item.name.startswith("test_weights_that_no_memory_holds") for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("memory")
    (folder / "tiny.yaml").write_text(TINY)
    arguments = ["train", "tiny.yaml", "--run-dir", "run", "--quiet", "--set", "model.encoder.units=16384"]
    cpu = environment(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    with started(command=["-c", TOO_LITTLE, *arguments], env=cpu, cwd=folder, text=True) as process:
        yield process, folder
        process.kill()


def test_numbers_that_no_memory_holds_are_refused_with_what_to_lower(folder):
    Path("c.yaml").write_text(
        "task: {type: nested, examples: 1000000, steps: 4096, vector: 256, matrix: [256, 256]}\n"
        "model: {type: classifier}\n"
    )
    before = tree(folder)
    refused = rnncli("train", "c.yaml")
    assert_refused(refused, "error: out of memory", status=1)
    assert "training.batch_size" in refused.stderr
    assert tree(folder) == before


def test_a_gpu_that_is_not_there_is_said_to_be_missing(folder, runtime):
    if runtime.on_gpu:
        pytest.skip("shows what is said where TensorFlow sees no GPU")
    before = tree(folder)
    refused = rnncli("train", "tiny.yaml", "--device", "gpu", "--quiet")
    assert_refused(refused, "runtime.device: gpu", status=1)
    assert "rnncli devices" in refused.stderr
    assert {name: found for name, found in tree(folder).items() if name != "runs"} == before
    assert not list(folder.glob("runs/*"))


def test_a_batch_larger_than_the_data_is_all_of_it(runtime):
    trained = rnncli(
        "train", "tiny.yaml", "--run-dir", "run", "--set", "training.batch_size=1000000", "--set", SMALLEST
    )
    assert trained.exit_code == 0, trained.stderr
    assert "training.batch_size: 1000000" in trained.stderr
    assert RunDir(Path("run")).load().checkpoint.step in (1, 2)


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("rnncli train - <&-", 2, "error: <stdin>: "),
        ("rnncli validate tiny.yaml >&-", 1, "error: stdout "),
        ("rnncli validate tiny.yaml >/dev/full", 1, "error: output: "),
        ("rnncli validate none.yaml 2>&-", 2, ""),
        ("rnncli validate none.yaml 2>/dev/full", 2, ""),
        ("rnncli validate tiny.yaml 2>&- <&-", 0, ""),
        ("rnncli init <&- >/dev/null", 2, "DATA"),
    ],
)
def test_streams_that_are_closed_or_full(folder, command, status, words):
    before = tree(folder)
    ended = shell(command)
    assert ended.returncode == status
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr
    assert tree(folder) == before


@pytest.mark.long
def test_whoever_reads_stderr_does_not_end_training(folder):
    """Here nobody does after the first line; stdin is closed too."""
    train = f"rnncli train tiny.yaml --run-dir run --set training.epochs=2 --set '{SMALLEST}'"
    ended = shell(f"{train} 2> >(head -n 1 >/dev/null) <&-")
    assert (ended.returncode, ended.stdout) == (0, "run\n")
    assert RunDir(Path("run")).load().weights


@pytest.mark.parametrize("command", ["rnncli --help", "rnncli train --help", "rnncli completion bash"])
def test_head_ends_it_quietly(command):
    ended = shell(f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}")
    assert ended.returncode in (0, 1)
    assert ended.stderr == ""


@pytest.mark.long
def test_text_is_utf_8_and_no_home_is_needed_whatever_the_environment_says(folder):
    Path("wörter.tsv").write_text("äöü\tÄÖÜ\nßé\tSSÉ\n" * 8, "utf-8")
    Path("c.yaml").write_text(PAIRS, "utf-8")
    Path("home").write_text("a file")
    plain = {key: value for key, value in environment(LC_ALL="C").items() if key != "XDG_CACHE_HOME"}
    trained = shell("rnncli train c.yaml --run-dir läufe --quiet", env=plain, text=False)  # no HOME at all
    assert (trained.returncode, trained.stderr) == (0, b"")
    assert trained.stdout.decode() == "läufe\n"
    vocabulary = Path("läufe/vocabulary.json").read_text("utf-8")
    assert "ä" in vocabulary
    before = tree(folder)
    no_place = {**plain, "HOME": str(folder / "home"), "PYTHONIOENCODING": "latin-1"}
    asked = "printf 'äöü\\n日\\n' | rnncli predict läufe --format jsonl"
    answered = shell(asked, env=no_place, text=False)
    assert answered.returncode == 0, answered.stderr
    lines = answered.stdout.decode().splitlines()
    assert len(lines) == 2
    assert '"source": "äöü"' in lines[0]
    assert '"source": "日"' in lines[1]
    assert "<stdin>:2: unknown symbol " in answered.stderr.decode()
    assert tree(folder) == before


@pytest.mark.long
def test_a_terminal_may_be_resized_while_it_trains():
    ours, its = pty.openpty()

    def resize(columns):
        ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    resize(100)
    arguments = ("train", "tiny.yaml", "--run-dir", "run", "--set", "training.epochs=4")
    with started(*arguments, stdin=its, stderr=its, start_new_session=True) as training:
        shown, widths = b"", iter((20, 1, 200, 0))
        while training.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.2)[0]:
                piece = os.read(ours, 4096)
                shown += piece
                if re.search(rb"epoch \d/4", piece) and training.poll() is None:
                    resize(next(widths, 80))
                    training.send_signal(signal.SIGWINCH)
        assert training.stdout.read() == b"run\n"
    os.close(its)
    os.close(ours)
    assert training.returncode == 0
    assert next(widths, None) is None, "it was resized often"
    assert b"Traceback" not in shown
    assert b"epoch 4/4  loss" in shown


@contextmanager
def tmpfs(megabytes):
    """A small disk of its own, where this user may make one."""
    place = Path("disk")
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this user may not mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


MANY = ("--set", "training.epochs=200", "--set", "task.examples=2000", "--set", "checkpoint.every=epoch")


def assert_intact(run, stderr):
    """It stopped with one error, the earlier checkpoint is whole, and nothing half-written is left."""
    assert "Traceback" not in stderr
    *_, error, hint = (line for line in stderr.splitlines() if not line.startswith("warning: compilations"))
    assert re.match(rf"error: {run}/checkpoints/\d+: cannot be written: ", error), stderr
    assert re.match(r"  hint: .* step \d+ .*rnncli train --resume ", hint), stderr
    assert RunDir(run).load().weights
    assert RunDir(run).load("last").weights
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]


@pytest.mark.long
def test_a_disk_that_is_full_ends_training_and_the_earlier_checkpoint_stays(runtime):
    with tmpfs(1) as disk:
        more = ("--set", "model.encoder.units=72", "--set", "model.decoder.units=72")  # 0.6 MB a checkpoint
        ended = rnncli("train", "tiny.yaml", "--run-dir", disk / "run", *MANY, *more)
        assert (ended.exit_code, ended.stdout) == (1, "")
        assert_intact(disk / "run", ended.stderr)


@pytest.mark.long
def test_a_file_that_may_not_grow_ends_training_and_the_earlier_checkpoint_stays():
    with started("train", "tiny.yaml", "--run-dir", "run", *MANY, "--set", SMALLEST) as training:
        shown = b""
        while b"epoch   1/200" not in shown:
            shown += os.read(training.stderr.fileno(), 4096) or pytest.fail(shown.decode())
        while not Path("run/checkpoints/best").exists():
            time.sleep(0.005)
        resource.prlimit(training.pid, resource.RLIMIT_FSIZE, (2000, 2000))
        out, err = training.communicate()
    assert (training.returncode, out) == (1, b"")
    assert_intact(Path("run"), err.decode())


def test_a_disk_that_is_full_from_the_start_is_said_to_be(runtime):
    with tmpfs(1) as disk:
        (disk / "filler").write_bytes(bytes(2**20 - 4096))
        (disk / "more").mkdir()
        before = tree(disk)
        full = rnncli("train", "tiny.yaml", "--run-dir", disk / "run", "--quiet")
        assert_one_error(full.stderr, [f"error: {disk}/run", "No space left on device"])
        assert full.exit_code in (1, 2)
        assert tree(disk) == before


def test_a_full_disk_is_not_called_out_of_memory(runtime, monkeypatch):
    import tensorflow as tf

    for said, shown in (("flushing run/x; No space left on device", "flushing run/x; No"), ("OOM", "out of memory")):
        error = tf.errors.ResourceExhaustedError(None, None, said)
        monkeypatch.setattr("rnncli.training.job.TrainingJob.run", Mock(side_effect=error))
        assert_refused(rnncli("train", "tiny.yaml", "--run-dir", "run", "--quiet"), shown, status=1)


@pytest.mark.long
def test_weights_that_no_memory_holds_are_refused_with_what_to_lower(short_of_memory):
    process, folder = short_of_memory
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert "error: out of memory\n  hint: " in err
    assert "training.batch_size" in err
    assert "Traceback" not in err
    assert [path.name for path in folder.iterdir()] == ["tiny.yaml"]
