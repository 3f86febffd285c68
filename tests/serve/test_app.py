"""The server's answers, by TensorFlow and by onnxruntime, against the predictor; and what it refuses."""

import json
import socket
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from asgi_client import chunks, client_of
from random_runs import PAIRS, TEXT, random_run

from rnncli.export.onnx.writer import write_onnx
from rnncli.inference.backends import Request, load, start
from rnncli.inference.predictor import TrainedRun
from rnncli.serve.app import ENDPOINTS, Limits, make_app
from rnncli.serve.served_run import ServedRun
from rnncli.serve.server import allowed_hosts

pytestmark = pytest.mark.usefixtures("runtime")
MODELS = {
    "pairs": (
        PAIRS,
        "{type: encoder_decoder, attention: general, encoder: {units: 4, bidirectional: true}, decoder: {units: 4}}",
    ),
    "text": (TEXT, "{type: next_step, units: 4, layers: 2, stateful: true}"),
}
SOURCES = ["abc", "d", "cbad"]
LIMITS = Limits(body=4000)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, runtime):
    """Two models, each by both backends."""
    folder = tmp_path_factory.mktemp("runs")
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, (task, model) in MODELS.items():
            saved, _ = random_run(task, model)
            saved = replace(saved, path=folder / "secret" / name)
            found.append(ServedRun(name, saved, TrainedRun(saved, runtime), "tensorflow"))
            (folder / name).mkdir()
            write_onnx(saved, folder / name)
            exported = load(folder / name)
            predictor = start(Request(exported), "onnx")
            found.append(ServedRun(f"{name}_onnx", exported, predictor, "onnx"))
    return found


@pytest.fixture(scope="module")
def client(runs):
    with client_of(make_app(runs, LIMITS, allowed_hosts("127.0.0.1", ())), "http://127.0.0.1:8000") as opened:
        yield opened


@pytest.fixture(scope="module")
def schemas(client):
    return client.get("/api/openapi.json").json()


def ask(client, name, status=200, **body):
    response = client.post(f"/api/{name}", json=body)
    assert response.status_code == status, response.text
    return response.json()


def test_predictions_are_those_of_the_predictor(runs, client):
    wanted = runs[0].predictor.predict(SOURCES)
    for name in ("pairs", "pairs_onnx"):
        found = ask(client, "predict", run=name, sources=SOURCES)["predictions"]
        assert [each["prediction"] for each in found] == [each.text for each in wanted]
        assert [each["score"] for each in found] == pytest.approx([each.score for each in wanted], abs=1e-5)


def test_an_invalid_source_is_an_error_of_its_own(client):
    right, wrong = ask(client, "predict", sources=["abc", "a" * 50])["predictions"]
    assert "error" not in right
    assert wrong["prediction"] == ""
    assert "50" in wrong["error"]


def test_beams_samples_and_attention(client):
    for name in ("pairs", "pairs_onnx"):
        options = {"beam": 3, "n_best": 2, "attention": True}
        (found,) = ask(client, "predict", run=name, sources=["abc"], **options)["predictions"]
        assert found["hypotheses"][0]["prediction"] == found["prediction"]
        weights = np.array(found["attention"]["weights"])
        assert weights.shape == (len(found["attention"]["target"]), 3)
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
        drawn = [ask(client, "predict", run=name, sources=SOURCES, sample=True, seed=4) for _ in range(2)]
        assert drawn[0] == drawn[1]


def test_prediction_goes_on_from_encoded_states(client):
    states = ask(client, "encode", sources=SOURCES)["states"]
    wanted = ask(client, "predict", sources=SOURCES, return_states=True)
    assert ask(client, "predict", sources=SOURCES, states=states) == wanted
    assert {name: np.shape(value) for name, value in wanted["states"].items()} == {
        "decoder/0/forward/c": (3, 4),
        "decoder/0/forward/h": (3, 4),
    }


@pytest.mark.parametrize("name", ["pairs", "pairs_onnx"])
def test_steps_of_the_decoder_spell_the_prediction(client, name):
    (wanted,) = ask(client, "predict", run=name, sources=["abc"], max_length=5)["predictions"]
    now, text, score = ask(client, "step", run=name, sources=["abc"]), "", 0.0
    for _ in range(5):
        assert sum(now["probabilities"][0]) == pytest.approx(1)
        text, score = text + now["symbols"][0], score + np.log(max(now["probabilities"][0]))
        now = ask(client, "step", run=name, sources=["abc"], symbols=now["symbols"], states=now["states"])
    assert text.removesuffix("<eos>") == wanted["prediction"]
    assert score == pytest.approx(wanted["score"], abs=1e-4)


def test_steps_of_the_reader_are_those_of_the_stepper(runs, client):
    served = runs[2]
    text = served.predictor.task.source_vocabulary.symbols[-3:]
    zeros = {name: [[0.0] * 4] for name in served.predictor.decoder.state_spec}
    ends = []
    for name in ("text", "text_onnx"):
        states = zeros
        for symbol in text:
            now = ask(client, "step", run=name, symbols=[symbol], states=states)
            states = now["states"]
        ends.append(now)
    assert served.stepper is not None
    before = None
    for symbol in text:
        step, before = served.stepper.step_from([symbol], before)
    for end in ends:
        for state, value in before.items():
            np.testing.assert_allclose(end["states"][state], value, atol=1e-5)
        assert np.argmax(end["probabilities"]) == step.logits.argmax()


def test_states_after_every_step(client):
    found = ask(client, "states", sources=["abc"], targets=["cb"], layers=["encoder/0"], which=["h"])
    (example,) = found["examples"]
    assert example["source_symbols"] == ["a", "b", "c"]
    assert example["target_symbols"] == ["c", "b", "<eos>"]
    assert {name: np.shape(value) for name, value in example["arrays"].items()} == {
        "encoder/0/forward/h": (3, 4),
        "encoder/0/backward/h": (3, 4),
    }
    (both,) = ask(client, "states", sources=["abc"], targets=["cb"])["examples"]
    assert both["arrays"]["encoder/0/forward/h"] == example["arrays"]["encoder/0/forward/h"]
    assert np.shape(both["arrays"]["decoder/0/forward/h"]) == (3, 4)


def test_a_language_model_writes_text(client):
    texts = [ask(client, "generate", run="text", prime="a", length=20, seed=2)["text"] for _ in range(2)]
    assert texts[0] == texts[1] != ""


def test_a_stateful_model_goes_on_from_line_to_line(runs, client):
    source = "".join(runs[2].predictor.task.source_vocabulary.symbols[-5:])
    found = ask(client, "predict", run="text", sources=[source] * 6)
    wanted = runs[2].predictor.predict_carrying([source] * 6, "sources", runs[2].predictor.first_states)
    assert [each["score"] for each in found["predictions"]] == [each.score for batch, _ in wanted for each in batch]
    assert {np.shape(value) for value in found["states"].values()} == {(4, 4)}


REQUESTS = {
    "predict": {"sources": ["abc"], "attention": True, "beam": 2, "n_best": 2},
    "encode": {"sources": ["abc"]},
    "step": {"sources": ["abc"]},
    "states": {"sources": ["abc"]},
    "generate": {"run": "text", "prime": "a", "length": 3},
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_requests_and_answers_are_as_described(client, schemas, name):
    operation = schemas["paths"][f"/api/{name}"]["post"]
    given = operation["requestBody"]["content"]["application/json"]["schema"]
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(REQUESTS[name], schemas | given)
    jsonschema.validate(ask(client, name, **REQUESTS[name]), schemas | answered)


WRONG = [
    ("predict", {}, 422, "sources"),
    ("predict", {"sources": []}, 422, "sources"),
    ("predict", {"sources": [1]}, 422, "sources.0"),
    ("predict", {"source": ["abc"]}, 422, "did you mean sources"),
    ("predict", {"sources": ["abc"], "beam": 0}, 422, "beam is 0"),
    ("predict", {"sources": ["abc"], "beam": 512, "max_length": 10_000}, 422, "steps"),
    ("predict", {"sources": ["abc"], "run": "nothing"}, 404, "pairs"),
    ("predict", {"sources": ["abc"], "states": {}}, 422, "missing"),
    ("predict", {"sources": ["abc"], "states": {"decoder/0/forward/h": [[1], [1, 2]]}}, 422, "different lengths"),
    ("predict", {"sources": ["abc"], "beam": 2, "return_states": True}, 422, "greedy"),
    ("predict", {"sources": ["a"], "run": "text", "attention": True}, 422, "attention"),
    ("encode", {"sources": ["abc", "?" * 50]}, 422, "sources:2"),
    ("step", {}, 422, "symbols, ids or numbers"),
    ("step", {"sources": ["abc"], "symbols": ["a"], "ids": [1]}, 422, "exclude"),
    ("step", {"sources": ["abc"], "symbols": ["a", "b"]}, 422, "2 symbols for 1 rows"),
    ("step", {"run": "text", "ids": [999]}, 422, "ids"),
    ("step", {"run": "text_onnx", "numbers": [[1]]}, 422, "symbols"),
    ("states", {"sources": ["abc"], "targets": []}, 422, "0 targets"),
    ("states", {"sources": ["abc"], "layers": ["x"]}, 422, "x"),
    ("states", {"run": "pairs_onnx", "sources": ["abc"]}, 422, "--backend tensorflow"),
    ("generate", {"prime": "a"}, 422, "task: text"),
    ("generate", {"run": "text", "length": 10**6}, 422, "length"),
]


@pytest.mark.parametrize(("name", "body", "status", "words"), WRONG)
def test_what_is_wrong_is_explained(client, name, body, status, words):
    answer = ask(client, name, status, **body)
    assert words in f"{answer['error']} {answer.get('hint', '')}"


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"[" * 3000, JSON, 400),
        (b'{"sources": ["\xff"]}', JSON, 400),
        (b'{"sources": ["\\ud800"]}', JSON, 400),
        (b'{"sources": ["a"], "length_penalty": NaN}', JSON, 400),
        (b"[]", JSON, 422),
        (b'{"sources": ["a"]}', {"content-type": "text/plain"}, 415),
        (b'{"sources": ["a"]}', {}, 415),
        (b" " * 4001, JSON, 413),
        (b'{"sources": ["a"]}', {**JSON, "host": "rebound.example"}, 421),
        (b'{"sources": ["a"]}', {**JSON, "host": "127.0.0.1.rebound.example:8000"}, 421),
        (b'{"sources": ["a"]}', {**JSON, "host": "[::1]:8000"}, 200),
        (b'{"sources": ["a"]}', {"content-type": "Application/JSON; charset=utf-8", "host": "LOCALHOST"}, 200),
    ],
)
def test_bodies_and_headers(client, body, headers, status):
    response = client.post("/api/predict", content=body, headers=headers)
    assert response.status_code == status
    if status != 200:
        assert response.json()["error"]


def test_a_long_body_in_chunks_is_refused(client):
    response = client.post("/api/predict", content=chunks(*[b" " * 1500] * 3), headers=JSON)
    assert (response.status_code, response.headers["connection"]) == (413, "close")


def test_other_paths_methods_and_origins(client):
    assert client.get("/api/predict").json()["hint"] == "/api/openapi.json lists the methods"
    assert client.get("/../etc/passwd").status_code == 404
    asked = {"origin": "http://a.example", "access-control-request-method": "POST"}
    answer = client.request("OPTIONS", "/api/predict", headers=asked)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("names", "host", "status"),
    [
        ((), "10.0.0.7:8000", 200),
        ((), "[fe80::1]", 200),
        ((), "localhost:8000", 200),
        ((), "lab.example", 421),
        ((), "10.0.0.7.example", 421),
        (("lab.example",), "LAB.example:8000", 200),
        (("*",), "anything.example", 200),
    ],
)
def test_a_listener_for_others_answers_to_addresses_and_to_its_names(runs, names, host, status):
    with client_of(make_app(runs, LIMITS, allowed_hosts("0.0.0.0", names)), "http://x") as opened:
        assert opened.get("/api/info", headers={"host": host}).status_code == status


def test_a_listener_for_others_answers_to_the_name_of_its_machine():
    assert socket.gethostname() in allowed_hosts("0.0.0.0", ())
    assert socket.gethostname() not in allowed_hosts("127.0.0.1", ())


def test_info_tells_the_runs_and_nothing_of_the_file_system(client):
    response = client.get("/api/info")
    about = response.json()
    assert list(about["runs"]) == ["pairs", "pairs_onnx", "text", "text_onnx"]
    assert about["default"] == "pairs"
    assert about["runs"]["pairs"]["states"] == {"decoder/0/forward/h": [4], "decoder/0/forward/c": [4]}
    assert about["runs"]["pairs_onnx"]["target_symbols"] == about["runs"]["pairs"]["target_symbols"]
    assert "secret" not in json.dumps(about)
    assert "tsv" not in response.text
