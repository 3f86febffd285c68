"""Training of models whose features have an encoder of their own: mapped files, resuming, initial weights."""

import random

import interrupted_training as interrupted
import numpy as np
import pytest

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.errors import InputError
from rnncli.models import build_model
from rnncli.training.inputs import TrainingInputs
from rnncli.training.warm_start import take_weights

pytestmark = pytest.mark.usefixtures("runtime")
TASK = (
    "{type: pairs, train: tagged.tsv, validation: tagged.tsv, max_source_length: 12, max_target_length: 9, "
    "columns: {features: 3}, features: encoder, max_features: 3, data: DATA}"
)
MODEL = (
    "{type: encoder_decoder, attention: general, copy: pointer_generator, encoder: {units: 6, embedding: 4}, "
    "decoder: {units: 6, embedding: 4, dropout: 0.2}}"
)


def config(data="memory", more=""):
    training = f"{{epochs: 2, batch_size: 8, buckets: 2{more}}}"
    return f"task: {TASK.replace('DATA', data)}\nmodel: {MODEL}\ntraining: {training}\nruntime: {{cores: 1}}\n"


@pytest.fixture(autouse=True)
def _tagged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["".join(random.Random(n).choices("abcdef", k=n % 6 + 2)) for n in range(46)]
    lines = [f"{word}\t{word}{'s' * (n % 2)}\t{('SG', 'PL;N')[n % 2]}\n" for n, word in enumerate(words)]
    (tmp_path / "tagged.tsv").write_text("".join(lines))


@pytest.mark.long
def test_training_resumes_to_the_same_bits_in_memory_and_in_mapped_files(tmp_path):
    interrupted.steps(tmp_path / "whole", config())
    interrupted.steps(tmp_path / "again", config("mapped"), until=5)
    interrupted.steps(tmp_path / "again", config("mapped"))
    assert interrupted.end(tmp_path / "again") == interrupted.end(tmp_path / "whole")
    assert interrupted.metrics(tmp_path / "again") == interrupted.metrics(tmp_path / "whole")


def test_hallucinated_pairs_keep_their_features():
    section = config().replace("data: memory", "hallucinate: 20")
    task = build_task(parse_config(section, "c"))
    train, _ = task.splits()
    extra = train.extra
    real = {tuple(row) for row in train.source[:, :3].tolist()}
    assert {tuple(row) for row in extra.source[:, :3].tolist()} <= real
    shown = [
        task.show_source(row[:length].tolist())
        for row, length in zip(extra.source, extra.source_lengths, strict=True)
    ]
    assert all(line.endswith(("\tSG", "\tPL;N")) for line in shown)


@pytest.mark.long
def test_weights_of_another_encoder_of_features_are_taken_and_those_of_joined_features_refused(tmp_path):
    interrupted.steps(tmp_path / "parent", config(), until=1)
    with (tmp_path / "tagged.tsv").open("a") as file:
        file.write("gab\tgab\tDU\n")
    inputs = TrainingInputs.read(parse_config(config(more=", init_from: parent"), "c"))
    model = build_model(inputs.config, inputs.task.sizes)
    taken = take_weights(model, inputs.start, inputs)
    assert (taken.new, taken.unused) == ({}, {})
    assert taken.new_symbols[0] == [";DU", "g"]
    name = "feature_encoder/dense/kernel"
    np.testing.assert_array_equal(model.arrays()[name], inputs.start.weights[name])
    joined = config(more=", init_from: parent").replace("features: encoder, max_features: 3", "features: joined")
    inputs = TrainingInputs.read(parse_config(joined, "c"))
    with pytest.raises(InputError, match="coder_0/forward/lstm_cell/kernel is "):
        take_weights(build_model(inputs.config, inputs.task.sizes), inputs.start, inputs)
