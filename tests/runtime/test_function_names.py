"""Names of TensorFlow's functions: the same whatever was computed before, and never the same twice."""

import os
import subprocess
import sys
import threading
from collections import Counter

import pytest

from rnncli.runtime import function_names
from rnncli.runtime.function_names import stable_names


@pytest.fixture
def name_of(runtime, monkeypatch):
    """A function that traces a function, perhaps as in a new process, and returns its name."""
    tf = pytest.importorskip("tensorflow")

    def name_of(what, steps=3, anew=False):
        if anew:
            monkeypatch.setattr(function_names, "_seen", Counter())
        values = tf.zeros([2, steps])
        with stable_names(what, values):
            return tf.function(lambda x: x + 1).get_concrete_function(values).name

    return name_of


def test_names_do_not_depend_on_what_was_computed_before(name_of):
    import tensorflow as tf

    first = name_of("a test", anew=True)
    for number in range(5):
        tf.constant(number)
    name_of("another test", anew=True)
    assert name_of("a test") == first


def test_names_do_not_depend_on_what_other_threads_trace(name_of):
    first, inside = name_of("of threads", anew=True), []
    with stable_names("of the first thread"):
        thread = threading.Thread(target=lambda: inside.append(name_of("of threads", anew=True)))
        thread.start()
        thread.join()
    assert inside == [first]


def test_names_differ_by_what_is_traced_by_its_shapes_and_the_second_time(name_of):
    names = [name_of("one"), name_of("two"), name_of("one", steps=4), name_of("one"), name_of("one")]
    assert len(set(names)) == len(names)


@pytest.mark.long
def test_a_second_training_compiles_nothing_anew(command, tmp_path):
    """Nor one on a few more examples, nor the prediction of what was trained."""
    words = [f"{a}{b}{c}\t{a}{b}{c}" for a in "abcdef" for b in "abcdef" for c in "abc"]
    (tmp_path / "held.tsv").write_text("\n".join(words[::5]))
    (tmp_path / "config.yaml").write_text(
        "task: {type: pairs, train: words.tsv, validation: held.tsv}\n"
        "model: {type: encoder_decoder, attention: dot, encoder: {units: 4}, decoder: {units: 4}}\n"
        "training: {epochs: 1, batch_size: 8}\n"
    )

    def entries():
        return sorted(path.name for path in (tmp_path / "cache").rglob("*.pb.*"))

    found = []
    for number, count in enumerate((100, 100, 103)):
        (tmp_path / "words.tsv").write_text("\n".join(words[:count]))
        command("train", "config.yaml", "--run-dir", f"run{number}", "--set", f"training.seed={number}")
        found.append(entries())
    command("predict", "run0", "abc")
    found.append(entries())
    assert found[0]
    assert found == found[:1] * 4


@pytest.fixture
def command(tmp_path):
    """Runs rnncli in a process of its own, whose cache is empty at first."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(*arguments):
        command = [sys.executable, "-P", "-m", "rnncli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run
