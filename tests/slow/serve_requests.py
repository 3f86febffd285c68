"""Ask a server 10,000 malformed things: a script.

`PYTHONPATH=. python tests/slow/serve_requests.py RUN --count 10000`

Valid requests to every operation are damaged: keys, types and values of the body, bytes of it, headers, the first
line. Each must be answered within 30 seconds with a status below 500, or the connection closed. In between, a valid
request must be answered as at the beginning. The exit status is 1 if anything was wrong.
"""

import argparse
import collections
import copy
import http.client
import json
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

from rnncli.serve.app import ENDPOINTS

WAIT = 30
"""Seconds for an answer."""
CHECKED = 200
"""Requests after which a valid one is asked again."""
ODD = [
    None, True, -1, 0, 10**30, 1e308, -0.5, "", "\0", "a" * 3000, "\ud800", "<eos>", [], [[]], [[[1]]], {}, {"": 0},
    [None], ["a", 1], [[1e39]], {"decoder/0/forward/h": [[1]]}, {"x": []}, [1.5], "../../etc/passwd", [float("nan")],
]  # fmt: skip


def valid(source):
    """A valid request to each operation."""
    return {
        "predict": {"sources": [source, source], "beam": 2, "n_best": 1, "length_penalty": 0.6},
        "encode": {"sources": [source]},
        "step": {"sources": [source]},
        "states": {"sources": [source], "layers": []},
        "generate": {"prime": source, "length": 5},
    }


def damaged_body(rng, name, body):
    """A body with other keys or values, or with other bytes."""
    body = copy.deepcopy(body)
    for _ in range(rng.randint(1, 3)):
        key = rng.choice([*ENDPOINTS[name].body.model_fields, rng.choice(["", "x", "sources "])])
        if rng.random() < 0.3 and body:
            del body[rng.choice(list(body))]
        elif rng.random() < 0.5 and isinstance(body.get("sources"), list) and body["sources"]:
            body["sources"][rng.randrange(len(body["sources"]))] = copy.deepcopy(rng.choice(ODD))
        else:
            body[key] = copy.deepcopy(rng.choice(ODD))
    data = bytearray(json.dumps(body).encode())
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.choice([0, 1, 5])] = rng.randbytes(rng.choice([0, 1, 4]))
    return bytes(data)


def damaged_request(rng, source):
    """The bytes of a request."""
    name, body = rng.choice(list(valid(source).items()))
    data = damaged_body(rng, name, body)
    kind = rng.choice(["application/json"] * 8 + ["text/plain", "application/json\x01", ""])
    host = rng.choice(["127.0.0.1"] * 8 + ["a.example", "", "127.0.0.1\r\nHost: b", "[::1"])
    method = rng.choice(["POST"] * 8 + ["GET", "PUT", "OPTIONS", "P\x00ST"])
    path = rng.choice([f"/api/{name}"] * 8 + ["/", "/api/", "/api/../x", f"/api/{name}?x=%00", "/%ff", "//"])
    length = rng.choice([len(data)] * 8 + [0, -1, 10**12, "x", max(0, len(data) - 3)])
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    raw = bytearray(head.encode("utf-8", "surrogateescape") + data)
    if rng.random() < 0.1:
        at = rng.randrange(len(raw))
        raw[at : at + 1] = rng.randbytes(2)
    return bytes(raw)


def status_of(port, request):
    """The status of the answer; 0 if the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as opened:
        opened.sendall(request)
        opened.shutdown(socket.SHUT_WR)  # so that a body that is announced too long ends
        data = b""
        while b"\r\n" not in data and (more := opened.recv(65536)):
            data += more
    return int(data.split(b" ", 2)[1]) if data else 0


def answer(port, source):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    connection.request(
        "POST", "/api/predict", json.dumps({"sources": [source]}), {"Content-Type": "application/json"}
    )
    response = connection.getresponse()
    data = json.loads(response.read())
    connection.close()
    return response.status, data


def memory(process):
    return int(Path(f"/proc/{process}/status").read_text().partition("VmRSS:")[2].split()[0]) // 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", default="12+34")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, statuses, slowest, wrong = random.Random(given.seed), collections.Counter(), 0.0, []
    command = [sys.executable, "-m", "rnncli", "serve", str(given.run), "--port", "0", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            wanted, before = answer(port, given.source), memory(server.pid)
            for number in range(given.count):
                request, began = damaged_request(rng, given.source), time.monotonic()
                try:
                    status = status_of(port, request)
                except (OSError, IndexError, ValueError) as error:
                    status = type(error).__name__
                statuses[status] += 1
                slowest = max(slowest, time.monotonic() - began)
                if not isinstance(status, int) or status >= 500:
                    wrong.append((status, request))
                if number % CHECKED == 0 and answer(port, given.source) != wanted:
                    wrong.append(("another answer", request))
            after = memory(server.pid)
        finally:
            server.terminate()
    print(f"{given.count} requests, seed {given.seed}: {dict(sorted(statuses.items(), key=str))}")
    print(f"slowest {slowest:.2f} s; memory {before} MB before, {after} MB after")
    for status, request in wrong[:5]:
        print(f"WRONG {status}: {request[:600]!r}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
