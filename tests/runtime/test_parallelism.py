"""Planning of shards and threads."""

import pytest

from rnncli.config import parse_config
from rnncli.runtime.parallelism import needs_threads

pytestmark = pytest.mark.xla  # without it no sequence is unrolled; nothing is compiled here

CONFIG = "task: addition\nmodel: encoder_decoder\n"


@pytest.mark.parametrize(
    ("steps", "override", "needed"),
    [
        (7, "model.encoder.units=128", False),
        (17, "model.encoder.units=128", True),  # a loop
        (None, "model.encoder.units=128", False),  # nothing is trained
        (7, "model.encoder.bidirectional=true", True),
        (None, "model.encoder.bidirectional=true", False),
        (7, "model.decoder.units=256", True),
        (None, "model.decoder.units=256", True),
        (7, "runtime.kernel=generic", True),
        (7, "model.implementation=cell", True),
        (None, "runtime.kernel=generic", False),
    ],
)
def test_several_threads_are_planned_for_loops_two_directions_and_wide_layers(steps, override, needed):
    config = parse_config(CONFIG, "c.yaml", (override, "model.bridge=dense"))
    assert needs_threads(config, steps) is needed
