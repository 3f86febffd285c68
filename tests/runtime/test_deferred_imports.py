"""Imports of Keras that rnncli does not need wait until they are used."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rnncli.runtime.deferred_imports import deferred

ROOT = Path(__file__).parents[2]


def test_deferred_module_fills_itself_when_it_is_used(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("VALUE = 3\nopen('ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with deferred(frozenset({"slow_to_import"})):
        import slow_to_import
    assert not Path("ran").exists()
    assert slow_to_import.VALUE == 3
    assert Path("ran").exists()


@pytest.mark.long
def test_notebook_gets_all_of_keras_and_no_more_than_it_uses():
    code = """
        import gc, sys
        from rnncli.config import RuntimeConfig
        from rnncli.runtime.tensorflow_setup import setup_tensorflow
        setup_tensorflow(RuntimeConfig())
        assert not {"pandas", "sklearn", "matplotlib"} & set(sys.modules)
        assert gc.isenabled() and not gc.get_freeze_count()  # the notebook's own objects are collected
        import keras, numpy
        from sklearn.base import BaseEstimator
        assert issubclass(keras.wrappers.SKLearnClassifier, BaseEstimator)
        assert keras.visualization.plot_image_gallery
        assert "matplotlib.pyplot" in sys.modules
        network = keras.Sequential([keras.layers.Dense(1)])
        network.compile(loss="mse")
        network.fit(numpy.zeros((8, 2)), numpy.zeros((8, 1)), validation_split=0.5, verbose=0)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
