"""The address of a Ray cluster, and what trainings take of it; needs no Ray."""

import socket
import threading

import pytest

from rnncli.cluster.meeting import free_addresses
from rnncli.engines.connection import Resources, connected, ray_settings, read_address
from rnncli.errors import InputError, RunFailedError


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [
        (None, "", "local"),
        (None, "10.0.0.1:6379", "10.0.0.1:6379"),
        ("auto", "10.0.0.1:6379", "auto"),
        ("[::1]:6379", "", "[::1]:6379"),
    ],
)
def test_address_is_that_of_the_option_or_of_rays_variable(given, variable, expected):
    assert read_address(given, {"RAY_ADDRESS": variable}) == expected


@pytest.mark.parametrize("given", ["head", "head:0", "ray://head:10001"])
def test_what_is_no_address_is_refused(given):
    with pytest.raises(InputError, match=rf"--ray-address {given}: "):
        read_address(given, {})
    with pytest.raises(InputError, match=rf"RAY_ADDRESS {given}: "):
        read_address(None, {"RAY_ADDRESS": given})


def test_own_cluster_has_a_token_that_is_in_no_file():
    tokens = {ray_settings("local", verbose)["RAY_AUTH_TOKEN"] for verbose in (True, False)}
    assert [len(token) for token in tokens] == [64, 64]
    assert not any("AUTH" in name for name in ray_settings("10.0.0.1:6379", verbose=False))


def test_address_that_nothing_answers_at_is_named():
    (address,) = free_addresses(1)
    with pytest.raises(RunFailedError, match=f"no Ray cluster answers at {address}: "), connected(address, 1):
        pass


def test_other_servers_are_told_from_rays():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RunFailedError, match=f"{address}: something else listens"), connected(address, 1):
            pass
        thread.join()


@pytest.mark.parametrize(
    ("device", "gpus", "count", "expected"),
    [("gpu", 0, 1, True), ("cpu", 8, 1, False), ("auto", 2, 2, True), ("auto", 1, 2, False), ("auto", 0, 1, False)],
)
def test_trainings_have_a_gpu_each_where_the_config_says_so_or_the_cluster_can(device, gpus, count, expected):
    assert Resources(4, gpus, False, "").uses_gpu(device, count) is expected
