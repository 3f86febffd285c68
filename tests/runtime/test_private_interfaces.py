"""Private interfaces of Keras and TensorFlow: there are some in the versions that rnncli is tested with."""

import subprocess
import sys

import pytest

from rnncli.runtime import private_interfaces

pytestmark = pytest.mark.usefixtures("runtime")


def test_keras_has_attributes_of_a_thread():
    found = private_interfaces.keras_globals()
    assert found.get_global_attribute("no such attribute") is None
    assert callable(found.set_global_attribute)


def test_eager_context_has_random_states():
    assert hasattr(private_interfaces.eager_context(), "_seed")
    assert hasattr(private_interfaces.eager_context(), "_initialized")


def test_operations_are_deterministic_inside_of_the_context():
    from tensorflow.python.framework import config

    was_deterministic = config.is_op_determinism_enabled()
    with private_interfaces.deterministic_ops():
        assert config.is_op_determinism_enabled()
    assert config.is_op_determinism_enabled() == was_deterministic


def test_without_private_modules_nothing_fails():
    code = """
import sys
sys.modules.update(dict.fromkeys(
    ("keras.src.backend.common.global_state", "tensorflow.python.eager.context", "tensorflow.python.framework.config")
))
class Fake:
    enable_op_determinism = print
from types import SimpleNamespace
keras_parts = ("keras", "keras.src", "keras.src.backend", "keras.src.backend.common")
tensorflow_parts = ("tensorflow.python", "tensorflow.python.eager", "tensorflow.python.framework")
sys.modules.update(dict.fromkeys((*keras_parts, *tensorflow_parts), SimpleNamespace()))
sys.modules["tensorflow"] = SimpleNamespace(config=SimpleNamespace(experimental=Fake))
from rnncli.runtime import private_interfaces as found
with found.deterministic_ops():
    assert found.keras_globals() is found.eager_context() is None
found.number_names(lambda: 1)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
