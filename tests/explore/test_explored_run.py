"""The requests of the page of `rnncli explore`; the numbers are those of `tests/inference/test_numpy_network.py`."""

from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import tensorflow as tf
from asgi_client import client_of
from cell_config import CONFIG, rnncli
from random_runs import ADDITION, PAIRS, TEXT, random_run

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.errors import InputError
from rnncli.explore.app import explore_app
from rnncli.explore.explored_run import ExploredRun
from rnncli.models import build_model
from rnncli.runs.checkpoints import WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.serve.app import Limits
from rnncli.serve.server import allowed_hosts

pytestmark = pytest.mark.usefixtures("runtime")
MODELS = {
    "pairs": (PAIRS, "{type: encoder_decoder, attention: dot, encoder: {units: 4}, decoder: {units: 4}}"),
    "sums": (ADDITION, "{type: encoder_decoder, cell: gru, encoder: {units: 3}, decoder: {units: 3}}"),
    "text": (TEXT, "{type: next_step, units: 4, layers: 2}"),
    "carries": (TEXT, "{type: next_step, units: 4, layers: 2, stateful: true}"),
    "copies": (
        PAIRS,
        "{type: encoder_decoder, attention: dot, copy: pointer_generator, encoder: {units: 4}, decoder: {units: 4}}",
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, runtime):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("runs"))
        saved = {name: random_run(*each)[0] for name, each in MODELS.items()}
        rng = np.random.default_rng(0)
        for values in saved["carries"].carried.values():
            values[:] = rng.normal(size=values.shape)
        return [ExploredRun(name, each) for name, each in saved.items()]


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """The held-out examples of runs that no training has recorded."""
    monkeypatch.setattr("rnncli.explore.held_out.recorded_examples", lambda saved: saved.task.splits()[1])


@pytest.fixture(scope="module")
def client(runs):
    with client_of(explore_app(runs, Limits(), allowed_hosts("127.0.0.1", ())), "http://127.0.0.1:8000") as opened:
        yield opened


def ask(client, name, status=200, **body):
    response = client.post(f"/api/{name}", json=body)
    assert response.status_code == status, response.text
    return response.json()


def test_a_trace_has_every_state_and_gate_of_every_step(client):
    found = ask(client, "trace", source="abc")
    assert found["source_symbols"] == ["a", "b", "c"]
    steps = len(found["target_symbols"])
    assert {name.rpartition("/")[2] for name in found["arrays"] if name.startswith("encoder/0/forward/")} == {
        *("h", "c", "input_gate", "forget_gate", "candidate", "output_gate"),
    }
    assert np.shape(found["arrays"]["decoder/0/forward/forget_gate"]) == (steps, 4)
    assert np.shape(found["arrays"]["encoder/0/forward/h"]) == (3, 4)
    np.testing.assert_allclose(np.sum(found["attention"], axis=1), np.ones(steps), atol=1e-3)
    for step in found["steps"]:
        assert {"symbol": step["symbol"], "probability": step["probability"]} == step["top"][0]
        assert not {"<pad>", "<bos>"} & {each["symbol"] for each in step["top"]}, "which no model writes"


def test_the_answer_of_a_sum_is_told(client):
    found = ask(client, "trace", run="sums", source="12+3")
    assert found["answer"] == "15"
    assert found["attention"] is None


def test_units_are_held_and_symbols_are_chosen(client):
    hold = {"decoder/0/forward/h": {2: 0.25}, "decoder/0/forward/c": {2: 0}}
    found = ask(client, "trace", source="abc", prefix=["c", "a"], hold=hold)
    assert found["target_symbols"][:2] == ["c", "a"]
    assert set(np.array(found["arrays"]["decoder/0/forward/h"])[:, 2]) == {0.25}
    assert not np.array(found["arrays"]["decoder/0/forward/c"])[:, 2].any()


def test_symbols_that_the_vocabulary_lacks_are_copied(client):
    found = ask(client, "trace", run="copies", source="azbz", prefix=["z"])
    assert found["target_symbols"][0] == "z"
    assert found["prediction"].startswith("z")
    for step in found["steps"]:
        shown = {each["symbol"]: each["probability"] for each in step["top"]}
        assert len(shown) == len(step["top"]), "a symbol that is copied from two places stands once"
        assert 0 < step["copies"] < 1
    assert "copies" not in ask(client, "trace", source="abc")["steps"][0]
    ask(client, "trace", 422, run="copies", source="ab", prefix=["z"])


def test_a_language_model_writes_by_temperature_and_seed(client):
    body = {"run": "text", "prime": "ab", "length": 30}
    greedy = [ask(client, "write", **body, temperature=0, seed=seed)["text"] for seed in (0, 1)]
    sampled = [ask(client, "write", **body, seed=seed)["text"] for seed in (0, 0, 1)]
    assert greedy[0] == greedy[1] == ask(client, "write", **body, temperature=1e-300)["text"]
    assert sampled[0] == sampled[1] != sampled[2]
    found = ask(client, "write", **body, temperature=0)
    assert len(found["symbols"]) == 30
    one_by_one = ask(client, "trace", run="text", source="ab")["steps"][-1]
    assert one_by_one["symbol"] == found["symbols"][0]["symbol"]


def test_a_stateful_model_starts_from_the_carried_states_of_a_row(runs, client):
    explored = next(each for each in runs if each.name == "carries")
    assert client.get("/api/info").json()["runs"]["carries"]["carried_rows"] == 4
    answers = [ask(client, "trace", run="carries", source="ab", row=row) for row in (None, 0, 3)]
    assert len({str(found["arrays"]["rnn/1/forward/h"]) for found in answers}) == 3
    model = build_model(explored.saved.config, explored.saved.task.sizes)
    model.assign(explored.saved.weights)
    ids = tf.constant([explored.saved.task.read_source("ab")])
    start = {name: tf.constant(values[3:]) for name, values in explored.saved.carried.items()}
    _, final = model.read_from(start, ids, tf.constant([2]))
    for name, values in final.items():
        np.testing.assert_allclose(answers[2]["arrays"][name][-1], values[0], atol=1e-4)
    written = [ask(client, "write", run="carries", prime="ab", length=5, row=row)["symbols"] for row in (None, 3)]
    assert written[0][0]["probability"] != written[1][0]["probability"]
    ask(client, "trace", 422, run="carries", source="ab", row=4)
    ask(client, "trace", 422, source="abc", row=0)


def test_a_unit_and_a_state_are_found_in_held_out_examples(runs, client):
    trace = ask(client, "trace", run="sums", source="12+3")
    state = trace["arrays"]["encoder/0/forward/h"][1]
    body = {"run": "sums", "array": "encoder/0/forward/h", "unit": 2, "vector": state, "count": 5}
    found = ask(client, "alike", **body)
    assert found["examples"] == 20
    values = [each["value"] for each in found["highest"]]
    assert values == sorted(values, reverse=True)
    first, again = (
        found["highest"][0],
        ask(client, "trace", run="sums", source=source_of(runs[1], found["highest"][0])),
    )
    assert again["arrays"]["encoder/0/forward/h"][first["step"]][2] == pytest.approx(first["value"], abs=1e-4)
    cosines = [each["value"] for each in found["nearest"]]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[0] <= 1 + 1e-6
    best = found["nearest"][0]
    near = ask(client, "trace", run="sums", source=source_of(runs[1], best))["arrays"]["encoder/0/forward/h"][
        best["step"]
    ]
    assert np.dot(near, state) / np.linalg.norm(near) / np.linalg.norm(state) == pytest.approx(cosines[0], abs=1e-3)


def test_states_are_placed_in_the_plane_of_the_held_out_ones(runs, client):
    body = {"run": "sums", "array": "encoder/0/forward/h"}
    everything = ask(client, "plane", **body, vectors=[])
    other = everything["others"][7]
    trace = ask(client, "trace", run="sums", source=source_of(runs[1], other))
    found = ask(client, "plane", **body, vectors=trace["arrays"]["encoder/0/forward/h"])
    np.testing.assert_allclose(found["points"][other["step"]], other["point"], atol=1e-3)
    points = np.array([each["point"] for each in everything["others"]])
    assert points[:, 0].var() >= points[:, 1].var()
    assert 1 >= sum(everything["variances"]) > 0.6  # of three units two directions have most


def source_of(run, context):
    """The sum whose symbols a context has, in the order in which the model reads them."""
    task = run.saved.task
    return task.show_source(task.source_vocabulary.encode(context["symbols"]))


def test_answers_are_as_described(client):
    description = client.get("/api/openapi.json").json()
    bodies = {
        "trace": {"source": "abc"},
        "write": {"run": "text", "prime": "a", "length": 2},
        "alike": {"run": "sums", "array": "decoder/0/forward/h", "unit": 0},
        "plane": {"run": "sums", "array": "decoder/0/forward/h", "vectors": [[0, 1, 0]]},
    }
    for name, body in bodies.items():
        answer = description["paths"][f"/api/{name}"]["post"]["responses"]["200"]
        jsonschema.validate(ask(client, name, **body), description | answer["content"]["application/json"]["schema"])


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("trace", {"source": ""}, "no source"),
        ("trace", {"source": "a\0"}, "NUL"),
        ("trace", {"source": "a" * 40}, "40"),
        ("trace", {"source": "abc", "prefix": ["?"]}, "does not know"),
        ("trace", {"source": "abc", "prefix": ["<bos>"]}, "no model writes"),
        ("trace", {"source": "abc", "prefix": ["a"] * 100}, "100 symbols"),
        ("trace", {"source": "abc", "prefix": ["<eos>", "a"]}, "nothing follows"),
        ("alike", {"run": "sums", "array": "encoder/0/forward/h"}, "neither"),
        ("trace", {"source": "abc", "hold": {"encoder/0/forward/h": {99: 0}}}, "units 0 to 3"),
        ("trace", {"source": "abc", "hold": {"encoder/0/forward/h": {0: 1e30}}}, "1000"),
        ("trace", {"source": "abc", "hold": {"encoder/9/forward/h": {0: 0}}}, "is no state"),
        ("plane", {"run": "sums", "array": "encoder/0/forward/h", "vectors": [[1]]}, "has 3 units"),
        ("trace", {"source": "ab", "run": "text", "prefix": ["a"]}, "symbol by symbol"),
        ("write", {"prime": "a"}, "task: text"),
        ("alike", {"run": "sums", "array": "nothing", "unit": 0}, "none of the model"),
        ("alike", {"run": "sums", "array": "encoder/0/forward/h", "unit": 3}, "units 0 to 2"),
        ("alike", {"run": "sums", "array": "encoder/0/forward/h", "vector": [1]}, "has 3 units"),
        ("write", {"run": "text", "prime": "", "length": 2}, "prime"),
        ("write", {"run": "text", "prime": "a" * 10_001, "length": 2}, "prime"),
    ],
)
def test_what_cannot_be_shown_is_explained(client, name, body, words):
    answer = ask(client, name, 422, **body)
    assert words in answer["error"] + answer.get("hint", "")


def test_the_page_is_served_with_a_policy_and_asks_nobody_else(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page.text
    assert client.get("/", headers={"host": "rebound.example"}).status_code == 421


def test_an_exported_model_has_nothing_to_look_at(runs):
    with pytest.raises(InputError, match="no weights to look at"):
        ExploredRun("x", replace(runs[0].saved, exported=Path("predict.onnx")))


def test_a_custom_cell_is_refused_without_asking_for_trust(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse_config(CONFIG, "c.yaml")
    run = RunDir.create(tmp_path / "run", config)
    task = build_task(config)
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    run.save_checkpoint(TrainState(step=1, metrics={"epoch": 1, "accuracy": 0.0}), {WEIGHTS: {}}, True, 1)
    refused = rnncli("explore", "run", "--port", "0")
    assert refused.exit_code == 2
    assert "my_cell:NestedCell cannot be looked into" in refused.stderr
