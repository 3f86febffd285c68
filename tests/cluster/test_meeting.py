"""The meeting of workers: who is missing, who has something else, and who is none."""

import socket
import threading

import pytest

from rnncli.cluster.layout import Cluster
from rnncli.cluster.meeting import differences, free_addresses, meet
from rnncli.errors import RunFailedError

FACTS = {"the version of rnncli": "1", "training.seed": "0"}


def hold(addresses, present, seconds=5.0, others=None, late=None):
    """Let workers meet, each in a thread; returns what each one raised, by its number."""
    ended = {}

    def attend(index):
        try:
            facts = FACTS | (others or {}).get(index, {})
            meet(Cluster(tuple(addresses), index, "test"), facts, seconds, lambda _: None)
            ended[index] = None
        except RunFailedError as error:
            ended[index] = error.message

    threads = [threading.Thread(target=attend, args=(index,)) for index in present]
    for thread in threads:
        thread.start()
    if late is not None:
        late()
    for thread in threads:
        thread.join()
    return ended


@pytest.mark.parametrize("count", [2, 5])
def test_all_that_are_alike_meet(count):
    assert hold(free_addresses(count), range(count)) == dict.fromkeys(range(count))


def test_the_missing_are_named_by_all():
    addresses = free_addresses(3)
    ended = hold(addresses, [0, 1], seconds=0.3)
    assert ended == dict.fromkeys([0, 1], f"after 0.3 s worker 2 ({addresses[2]}) is not there")


def test_a_missing_first_worker_is_named():
    addresses = free_addresses(3)
    ended = hold(addresses, [1, 2], seconds=0.3)
    assert ended == dict.fromkeys([1, 2], f"after 0.3 s worker 0 ({addresses[0]}) is not there")


def test_a_difference_is_named_with_both_values():
    addresses = free_addresses(2)
    ended = hold(addresses, [0, 1], others={1: {"training.seed": "7"}})
    assert ended == dict.fromkeys([0, 1], f"training.seed is 0 on worker 0 and 7 on worker 1 ({addresses[1]})")


def test_many_differences_are_counted():
    message = differences({str(i): "a" for i in range(9)}, {}, "worker 1")
    assert message.count("absent") == 5
    assert message.endswith("and 4 more")


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"", b"null\n", b'{"worker": 9, "facts": {}}\n', b"[" * 9999 + b"\n", b"\xff\n"],
)
def test_somebody_else_who_knocks_is_ignored(said):
    addresses = free_addresses(2)
    host, port = addresses[0].split(":")

    def knock():
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(said)

    first = hold_in_background(addresses, knock)
    assert first == {0: None, 1: None}


def hold_in_background(addresses, knock):
    """Let somebody knock at the first worker before the second one comes."""
    ended = {}

    def first():
        ended.update(hold(addresses, [0]))

    thread = threading.Thread(target=first)
    thread.start()
    while True:
        try:
            knock()
            break
        except ConnectionRefusedError:
            continue
    ended.update(hold(addresses, [1]))
    thread.join()
    return ended


def test_two_processes_of_one_number_are_refused():
    addresses = free_addresses(3)
    message = b'{"worker": 1, "facts": {"the version of rnncli": "1", "training.seed": "0"}}\n'
    host, port = addresses[0].split(":")

    def knock():
        with (
            socket.create_connection((host, int(port)), timeout=5) as one,
            socket.create_connection((host, int(port)), timeout=5) as other,
        ):
            one.sendall(message)
            other.sendall(message)
            assert b"two processes" in one.recv(1000)

    ended = {}
    thread = threading.Thread(target=lambda: ended.update(hold(addresses, [0])))
    thread.start()
    while True:
        try:
            knock()
            break
        except ConnectionRefusedError:
            continue
    thread.join()
    assert "two processes" in ended[0]


def test_a_port_in_use_is_named():
    addresses = free_addresses(2)
    host, port = addresses[1].split(":")
    with socket.create_server((host, int(port))):
        ended = hold(addresses, [1], seconds=0.3)
    assert ended[1].startswith(f"worker 1 ({addresses[1]}): cannot listen there: ")


def test_an_address_of_another_machine_is_named():
    assert "cannot listen there" in hold(["192.0.2.1:2222", "127.0.0.1:1"], [0], seconds=0.3)[0]


@pytest.mark.parametrize("index", [0, 1])
def test_a_name_that_does_not_resolve_is_named(index, monkeypatch):
    resolve = socket.getaddrinfo

    def fail(host, *more, **options):
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    ended = hold(["nowhere.invalid:2222", free_addresses(1)[0]], [index], seconds=0.3)
    assert "worker 0 (nowhere.invalid:2222)" in ended[index]
    assert "does not resolve" in ended[index]
