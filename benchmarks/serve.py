"""Requests a second of `rnncli serve`, and how long they take: `python benchmarks/serve.py RUN --source "12+34"`.

Starts a server for the run, and asks /api/predict over keep-alive connections from another process, one source a
request, as fast as answers come. For each number of connections: requests a second, the median and the 99th
percentile of the time of a request, and the server's memory (RSS). `--soak MINUTES` asks over 16 connections instead,
and prints the memory while it does. `--backend` is that of `rnncli serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOAK_CONNECTIONS, SOAK_REPORTS = 16, 20


@contextmanager
def server(run: Path, backend: str) -> Iterator[tuple[int, int]]:
    """Yield the port and the process id of a server."""
    command = [sys.executable, "-m", "rnncli", "serve", str(run), "--port", "0", "-q", "--backend", backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline()
            if not address:
                sys.exit("the server did not start")
            yield int(address.rpartition(":")[2]), process.pid
        finally:
            process.terminate()


def request_of(sources: list[str]) -> bytes:
    """Return a request for predictions."""
    body = json.dumps({"sources": sources}).encode()
    head = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"POST /api/predict HTTP/1.1\r\n{head}\r\n\r\n".encode() + body


async def ask(port: int, requests: list[bytes], until: float, seconds: list[float]) -> None:
    """Ask over one connection until a time, and add the seconds of each request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while (began := time.perf_counter()) < until:
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        seconds.append(time.perf_counter() - began)
        number += 1
    writer.close()


async def load(port: int, requests: list[bytes], connections: int, duration: float) -> list[float]:
    """Return the seconds of every request that so many connections made."""
    seconds: list[float] = []
    until = time.perf_counter() + duration
    await asyncio.gather(*(ask(port, requests[n:] + requests[:n], until, seconds) for n in range(connections)))
    return sorted(seconds)


def memory(process: int) -> float:
    """Return the megabytes of a process (VmRSS)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", action="append", required=True, help="repeatable; asked in turn")
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--backend", default="auto")
    given = parser.parse_args()
    requests = [request_of([source]) for source in given.source]
    with server(given.run, given.backend) as (port, process):
        asyncio.run(load(port, requests, 4, 1))
        if given.soak:
            print("| minute | requests | MB |\n|---|---|---|")
            for part in range(SOAK_REPORTS):
                found = asyncio.run(load(port, requests, SOAK_CONNECTIONS, given.soak * 60 / SOAK_REPORTS))
                print(f"| {(part + 1) * given.soak / SOAK_REPORTS:.1f} | {len(found):,} | {memory(process):.1f} |")
            return
        print("| connections | requests/s | p50, ms | p99, ms | MB |\n|---|---|---|---|---|")
        for connections in map(int, given.connections.split(",")):
            found = asyncio.run(load(port, requests, connections, given.seconds))
            p50, p99 = (1000 * found[int(len(found) * share)] for share in (0.5, 0.99))
            rate = len(found) / given.seconds
            print(f"| {connections} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {memory(process):.0f} |")


if __name__ == "__main__":
    main()
