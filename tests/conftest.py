"""Fixtures for all tests. Nothing here imports TensorFlow until a test asks for it."""

import os
import shutil
import signal
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rnncli.runtime import tensorflow_setup, xla

tensorflow_setup.claim_process()  # in-process tests run as the `rnncli` command does
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells leave ignored in the background
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup leaves ignored
# as rnncli.runtime.tensorflow_setup sets them; test modules may import TensorFlow before they call it
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # tests compile more than they compute
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # test modules may import onnxruntime on their own


# a machine under load is slow, and no fault of a test
settings.register_profile("rnncli", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rnncli")

UNROLL_STEPS = xla.UNROLL_STEPS
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def set_xla(marker):
    """Switch XLA on where a test or its module is marked `xla`, else off."""
    xla.XLA = marker is not None and marker.kwargs.get("on", True)
    unrolls = xla.XLA and marker.kwargs.get("unroll", True)
    xla.UNROLL_STEPS = UNROLL_STEPS if unrolls else 0  # without XLA a loop costs less to build than to unroll


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark the cases of a parametrized test that its mark `quick` does not name as `long`."""
    cases = defaultdict(list)
    for item in items:
        if (marker := item.get_closest_marker("quick")) is not None:
            cases[item.nodeid.partition("[")[0], marker.args].append(item.callspec.id)
            if item.callspec.id not in marker.args:
                item.add_marker(pytest.mark.long)
    wrong = {test: set(named) - set(found) for (test, named), found in cases.items()}
    if any(wrong.values()) and not any("[" in argument for argument in config.args):  # which ask for some cases
        raise pytest.UsageError(f"no such cases: { ({test: names for test, names in wrong.items() if names}) }")


set_xla(None)  # for fixtures of the whole session, which are made before those of the module that asks first


@pytest.fixture(scope="module", autouse=True)
def xla_of_module(request):
    """Choose for the fixtures of a module; see `xla_of_test`."""
    set_xla(request.node.get_closest_marker("xla"))
    yield
    set_xla(None)


@pytest.fixture(autouse=True)
def xla_of_test(request, xla_of_module):
    """Compute without XLA, which compiles longer than tests compute, but where numbers or compilations are tested.

    Tests marked `xla` compute as users do. `xla(unroll=False)` makes loops of short sequences too: they compile in
    half the time. `xla(on=False)` is for a test in a module that is marked. Processes of their own always compute as
    users do.
    """
    set_xla(request.node.get_closest_marker("xla"))
    yield
    set_xla(request.node.parent.get_closest_marker("xla"))


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Tests neither use nor fill the user's cache of compilations."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def runtime():
    """TensorFlow made ready as rnncli does it; its threads are set before it computes anything.

    A module that computes asks for it by `pytestmark = pytest.mark.usefixtures("runtime")`, and computes nothing
    while it is imported.
    """
    from rnncli.config import RuntimeConfig
    from rnncli.runtime import tensorflow_setup as runtime

    return runtime.setup_tensorflow(RuntimeConfig())


@pytest.fixture(scope="session")
def whole(tmp_path_factory, runtime):
    """A run that was not interrupted, of the plainest model."""
    import interrupted_training as interrupted

    assert not xla.XLA, "resumed in tests that compute without it, with other last bits"
    folder = tmp_path_factory.mktemp("whole")
    interrupted.steps(folder / "run", interrupted.write_config(folder, "lstm").read_text())
    return folder / "run"


@pytest.fixture(scope="session")
def stopped_once(tmp_path_factory, runtime):
    """The same, stopped after 16 steps."""
    import interrupted_training as interrupted

    assert not xla.XLA, "see `whole`"
    folder = tmp_path_factory.mktemp("stopped")
    interrupted.steps(folder / "run", interrupted.write_config(folder, "lstm").read_text(), until=16)
    return folder / "run"


@pytest.fixture
def stopped(tmp_path, monkeypatch, stopped_once):
    """A copy of the stopped run; it stands in the current directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stopped_once, "run")
    return Path("run")


@pytest.fixture(scope="module")
def browser():
    """A browser; the tests are skipped where there is none.

    Not one for the session: playwright leaves an event loop in the thread, in which others cannot start theirs.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
