"""The server as a process: it says where it listens, needs no TensorFlow, and finishes what it has begun."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from random_runs import ADDITION, random_run
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

from rnncli.cli.main import main
from rnncli.cli.served import named_runs
from rnncli.export.onnx.writer import write_onnx
from rnncli.serve import server as server_module
from rnncli.serve.server import Server, bind, is_loopback

pytestmark = pytest.mark.usefixtures("runtime")
SLOW = {"sources": ["12+3"] * 40, "beam": 64, "max_length": 300}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        saved, _ = random_run(ADDITION, "{type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}")
        write_onnx(saved, folder)
    return folder


def send(port, method, path, body=None):
    """Send a request; return a function that waits for what is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})

    def answer():
        with contextlib.closing(connection):
            return json.loads(connection.getresponse().read())

    return answer


def test_a_server_answers_and_ends_after_what_it_has_begun(exported):
    command = [sys.executable, "-m", "rnncli", "serve", str(exported), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            (found,) = send(port, "POST", "/api/predict", {"sources": ["12+3"]})()["predictions"]
            if sys.platform == "linux":
                assert "tensorflow" not in Path(f"/proc/{server.pid}/maps").read_text()
            slow = send(port, "POST", "/api/predict", SLOW)
            send(port, "GET", "/api/info")()  # the request before has been read too
            server.send_signal(signal.SIGTERM)
            answered = slow()
            _, said = server.communicate(timeout=60)
        finally:
            server.kill()
    assert found["source"] == "12+3"
    assert len(answered["predictions"]) == 40
    assert server.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "terminated"
    assert "Traceback" not in said


def test_runs_of_one_name_are_numbered(tmp_path):
    paths = [tmp_path / folder / "sums" for folder in "abc"]
    for path in paths:
        path.mkdir(parents=True)
    assert [each.name for each in named_runs(paths, ())] == ["sums", "sums-2", "sums-3"]


def refused(*arguments):
    result = CliRunner().invoke(main, ["serve", *map(str, arguments)])
    assert result.exit_code == 2
    assert result.stdout == ""
    return result.stderr


def test_a_port_in_use_is_refused(exported):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "another --port" in refused(exported, "--port", port)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give a RUN"),
        (("--run", "nothing"), "NAME=RUN"),
        (("--run", "a=nothing"), "nothing: no such run"),
        (("{run}", "--run", "predict=x", "--run", "predict=x"), "two runs have the name predict"),
        (("{run}", "--host", "nowhere.invalid"), "--host nowhere.invalid"),
    ],
)
def test_what_cannot_be_served_is_refused(exported, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("x").symlink_to(exported)
    assert words in refused(*(each.format(run=exported / "predict.onnx") for each in arguments))


@contextlib.contextmanager
def serving(app):
    listens = threading.Event()
    with bind("127.0.0.1", 0) as bound:
        server = Server(app, listens.set)
        thread = threading.Thread(target=server.run_on, args=(bound,))
        thread.start()
        try:
            assert listens.wait(30)
            yield bound.getsockname()
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("sent", [b"", b"GET /api/info HTTP/1.1\r\nHost: "])
def test_a_connection_that_sends_no_whole_request_is_closed(monkeypatch, sent):
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 0.05)
    with serving(Starlette()) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(sent)
        assert client.recv(1) == b""


def test_a_connection_whose_client_reads_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(server_module, "WRITE_SECONDS", 0.05)
    ended = threading.Event()

    async def answer(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1_000):  # more than the buffers of both sockets hold
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        ended.set()

    app = Starlette(routes=[Mount("/", answer)])
    with serving(app) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ended.wait(30)


def test_a_client_that_reads_slowly_gets_the_whole_answer(monkeypatch):
    monkeypatch.setattr(server_module, "WRITE_SECONDS", 0.3)
    app, size = Starlette(routes=[Route("/", lambda _: Response(b"x" * 20_000_000))]), 0
    with serving(app) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while data := client.recv(500_000):
            size += len(data)
            time.sleep(0.03)
    assert size > 20_000_000


def test_only_addresses_of_this_machine_are_loopback():
    assert [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "::", "lab.example")] == [
        *(True, True, True),
        *(False, False, False),
    ]
