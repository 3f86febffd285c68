"""What tests share. Nothing here imports TensorFlow until a test asks for it."""

import os

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"  # before any test module imports keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def runtime():
    """TensorFlow made ready as rnncli does it; its threads are set before it computes anything.

    A module that computes asks for it by `pytestmark = pytest.mark.usefixtures("runtime")`, and computes nothing
    while it is imported.
    """
    from rnncli import runtime
    from rnncli.config import Runtime

    return runtime.start(Runtime())
