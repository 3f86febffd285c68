"""TF_CONFIG: the workers that it names, and what is wrong with it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncli.cluster.find import find_cluster
from rnncli.cluster.layout import Cluster, split_address
from rnncli.cluster.tf_config import EVALUATES, read_tf_config
from rnncli.errors import InputError

TWO = {"worker": ["a:1", "b:2"]}


def config(cluster, task):
    return json.dumps({"cluster": cluster, "task": task})


def test_workers_keep_their_order():
    found = read_tf_config(config(TWO, {"type": "worker", "index": 1}))
    assert (found.addresses, found.index, found.leads) == (("a:1", "b:2"), 1, False)


@pytest.mark.parametrize("kind", ["chief", "master"])
def test_a_chief_is_the_first_worker(kind):
    cluster = {**TWO, kind: ["c:3"]}
    assert read_tf_config(config(cluster, {"type": kind, "index": 0})).index == 0
    worker = read_tf_config(config(cluster, {"type": "worker", "index": 0}))
    assert (worker.addresses, worker.index) == (("c:3", "a:1", "b:2"), 1)


def test_an_index_may_be_text():
    assert read_tf_config(config(TWO, {"type": "worker", "index": "1"})).index == 1


def test_an_evaluator_has_no_part():
    environment = {"TF_CONFIG": config(TWO, {"type": "evaluator", "index": 0})}
    assert find_cluster(environment) is EVALUATES


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"cluster": {}}', '{"task": {"type": "worker", "index": 0}}'])
def test_no_cluster_is_one_process(text):
    assert find_cluster({"TF_CONFIG": text}) is None
    assert find_cluster({}) is None


def test_a_cluster_of_one_is_one_process():
    assert find_cluster({"TF_CONFIG": config({"chief": ["a:1"]}, {"type": "chief", "index": 0})}) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[]", "object"),
        ('{"cluster": [1]}', "cluster"),
        (config(TWO, None), "task"),
        (config(TWO, {"type": "worker", "index": 2}), r"task\.index is 2"),
        (config(TWO, {"type": "worker", "index": True}), r"task\.index"),
        (config(TWO, {"type": "chief", "index": 0}), r"task\.index is 0"),
        (config(TWO, {"index": 0}), r"task\.type"),
        (config({"chief": ["a:1", "b:1"]}, {"type": "chief", "index": 0}), "more than one chief"),
        (config({"worker": ["a:1", "a:1"]}, {"type": "worker", "index": 0}), "a:1 twice"),
        (config({"worker": "a:1"}, {"type": "worker", "index": 0}), r"cluster\.worker"),
        (config({"worker": ["a:1", "b"]}, {"type": "worker", "index": 0}), r"number 1: 'b'"),
        (config({"worker": ["a:1", 7]}, {"type": "worker", "index": 0}), r"number 1: 7"),
        (config({"evaluator": ["a:1"]}, {"type": "worker", "index": 0}), "no workers"),
        (config({**TWO, "ps": ["c:1"]}, {"type": "worker", "index": 0}), "ps"),
    ],
)
def test_what_is_malformed_is_named(text, word):
    with pytest.raises(InputError, match=rf"^TF_CONFIG: .*{word}") as caught:
        read_tf_config(text)
    assert "\n" not in caught.value.message


VALUES = st.sampled_from([None, True, -1, 0, "1", "a:1", ["a:1"], ["a:1", "b:2"], [[]], {}, {"worker": []}])
KEYS = st.sampled_from(["worker", "chief", "ps", "type", "index", "other"])


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES))
def test_any_values_are_read_or_refused_in_one_line(cluster, task):
    try:
        found = read_tf_config(config(cluster, task))
    except InputError as error:
        found = error.message
    assert found is None or isinstance(found, Cluster) or found.count("\n") == 0


def test_another_number_of_workers_is_refused():
    environment = {"TF_CONFIG": config(TWO, {"type": "worker", "index": 0})}
    assert find_cluster(environment, "2").count == 2
    with pytest.raises(InputError, match="--workers 3: TF_CONFIG names 2"):
        find_cluster(environment, "3")


@pytest.mark.parametrize(
    ("address", "parts"), [("a:1", ("a", 1)), ("[::1]:65535", ("::1", 65535)), ("n-1.b.c:2222", ("n-1.b.c", 2222))]
)
def test_addresses_are_split(address, parts):
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "a", ":1", "a:", "a:0", "a:65536", "::1:2", "a:-1", "a b:1", "[]:1", "a:\u0663"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match=r"must be|brackets"):
        split_address(address)


def test_workers_of_a_host_are_counted():
    environment = {"TF_CONFIG": config({"worker": ["a:1", "b:1", "a:2"]}, {"type": "worker", "index": 2})}
    assert find_cluster(environment).on_this_host == (1, 2)
