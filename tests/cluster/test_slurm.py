"""SLURM's lists of nodes and of tasks, and the workers that they make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.cluster.find import find_cluster
from rnncli.cluster.slurm import expand_counts, expand_nodes
from rnncli.errors import InputError


def step(nodes, counts, tasks, process, **more):
    return {
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": counts,
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_PROCID": str(process),
        **{f"SLURM_{name}": value for name, value in more.items()},
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n1", ["n1"]),
        ("n[8-11]", ["n8", "n9", "n10", "n11"]),
        ("a[01-03,7],b", ["a01", "a02", "a03", "a7", "b"]),
        ("r[1-2]n[1-2]x", ["r1n1x", "r1n2x", "r2n1x", "r2n2x"]),
        ("n[098-101].cluster,m", ["n098.cluster", "n099.cluster", "n100.cluster", "n101.cluster", "m"]),
    ],
)
def test_node_lists_are_expanded_in_their_order(text, names):
    assert expand_nodes(text) == names


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=20), st.integers(1, 5))
def test_any_numbers_of_nodes_are_read(numbers, width):
    names = [f"n{number:0{width}}" for number in numbers]
    assert expand_nodes(f"n[{','.join(name[1:] for name in names)}]") == names
    assert expand_nodes(",".join(names)) == names


@pytest.mark.parametrize(
    "text", [",", "a,", "n[1-", "n[]", "n[3-1]", "n[a-b]", "n[1-999999999]", "n[1]]", "a b", "n[1,]"]
)
def test_other_node_lists_are_refused(text):
    with pytest.raises(InputError, match="SLURM_STEP_NODELIST"):
        expand_nodes(text)


def test_counts_of_tasks_are_expanded():
    assert expand_counts("2(x3),1") == [2, 2, 2, 1]
    for text in ("", "x", "2(x", "1(x999999)", "-1"):
        with pytest.raises(InputError, match="SLURM_STEP_TASKS_PER_NODE"):
            expand_counts(text)


def test_tasks_are_workers_in_block_order():
    found = find_cluster(step("n[9-10]", "2,1", 3, 2, JOB_ID="77", STEP_RESV_PORTS="12000-12003"), "slurm")
    assert found.addresses == ("n9:12000", "n9:12001", "n10:12000")
    assert found.index == 2


def test_jobs_without_reserved_ports_have_other_ports():
    ports = {find_cluster(step("a,b", "1(x2)", 2, 0, JOB_ID=str(job)), "slurm").addresses[0] for job in range(100)}
    assert len(ports) == 100


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "srun"),
        (step("n[1-2]", "1(x3)", 3, 0), "do not fit"),
        (step("n[1-2]", "1(x2)", 2, 2), "do not fit"),
        (step("n[1-2]", "1(x2)", 2, 1) | {"SLURMD_NODENAME": "n1"}, "n1"),
        (step("n[1-2]", "1(x2)", 2, "x"), "SLURM_PROCID"),
        (step("n1", "2", 2, 0, STEP_RESV_PORTS="12000"), "PORTS"),
    ],
)
def test_what_does_not_fit_is_refused(environment, word):
    with pytest.raises(InputError) as caught:
        find_cluster(environment, "slurm")
    assert word in f"{caught.value.message} {caught.value.hint}"
