"""The addition task: which sums are drawn, how they are written, and which lines are refused."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.config import AdditionTask
from rnncli.data.examples import ARRAYS
from rnncli.data.parsing import read_examples
from rnncli.data.tasks.addition import Addition, LastDigit, PaddedAddition, count_carries, draw_sums, split_evenly
from rnncli.data.vocabulary import BOS_ID, EOS_ID, PAD_ID
from rnncli.errors import DataError

CLASSES = {"encoder_decoder": Addition, "repeat_vector": PaddedAddition, "classifier": LastDigit}
models = pytest.mark.parametrize("model", ["encoder_decoder", "repeat_vector"])
numbers = st.integers(0, 999)


def task(model="encoder_decoder", **options):
    return CLASSES[model](AdditionTask.model_validate({"examples": 40, "held_out": 10, **options}))


def lines(task, examples):
    """Each example as text."""
    return [
        (task.show_source(source.tolist()), task.show_target(target.tolist()))
        for source, target in zip(examples.source, examples.target, strict=True)
    ]


def unordered(a, b):
    return [tuple(sorted(pair)) for pair in zip(a.tolist(), b.tolist(), strict=True)]


@pytest.mark.parametrize(("digits", "count"), [(1, 30), (2, 4000), (3, 2000), (4, 3000), (9, 3000)])
def test_draw_sums_repeats_no_sum_in_either_order(digits, count):
    a, b = draw_sums(digits, count, seed=5)
    assert len(a) == len(b) == len(set(unordered(a, b))) == count
    assert min(a.min(), b.min()) >= 0
    assert max(a.max(), b.max()) < 10**digits


def test_draw_sums_draws_all_55_sums_of_one_digit():
    assert set(unordered(*draw_sums(1, 55, seed=0))) == {(a, b) for a in range(10) for b in range(a, 10)}


@pytest.mark.parametrize("digits", [2, 5])
def test_draw_sums_is_a_function_of_the_seed(digits):
    first, again, other = (np.stack(draw_sums(digits, 50, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("digits", "count"), [(3, 1000), (4, 2000), (6, 6000)])
def test_draw_sums_draws_every_number_of_digits_equally_often(digits, count):
    """Were all numbers as likely, only one in 100 of those up to 999 would have one digit."""
    drawn = np.concatenate(draw_sums(digits, count, seed=3))
    lengths = np.array([len(str(number)) for number in drawn])
    shares = [np.mean(lengths == n) for n in range(1, digits + 1)]
    np.testing.assert_allclose(shares, 1 / digits, atol=0.06)


def test_draw_sums_draws_operands_independently():
    """Of up to 2 digits, each below 10 has chance 1/2 * 1/10 + 1/2 * 1/100 = 0.055."""
    a, b = np.concatenate([draw_sums(2, 1, seed) for seed in range(3000)], axis=1)
    assert np.mean((a < 10) & (b < 10)) == pytest.approx(0.55**2, abs=0.03)
    assert np.mean((a < 10) & (a == b)) == pytest.approx(10 * 0.055**2, abs=0.012)  # twice that would be wrong


@pytest.mark.parametrize("digits", [3, 4])
def test_draw_sums_draws_both_orders_of_operands(digits):
    a, b = draw_sums(digits, 2000, seed=1)
    assert 0.4 < np.mean(a < b) < 0.6


@models
def test_addition_splits_are_disjoint_and_targets_are_sums(model):
    addition = task(model, digits=2, examples=500, held_out=100)
    train, held_out = addition.splits()
    assert (len(train), len(held_out)) == (400, 100)
    sums = []
    for question, answer in lines(addition, train) + lines(addition, held_out):
        a, b = map(int, question.split("+"))
        assert int(answer) == a + b
        sums.append(frozenset((a, b)))
    assert len(set(sums)) == 500


@models
@pytest.mark.parametrize("answer", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_addition_examples_equal_ids_read_from_lines(model, reverse, answer):
    addition = task(model, reverse=reverse, reverse_answer=answer)
    train, _ = addition.splits()
    text = ["\t".join(line) for line in lines(addition, train)]
    read = read_examples(addition, text, "t")
    for part in ("source", "source_lengths", "target", "target_lengths"):
        np.testing.assert_array_equal(getattr(read, part), getattr(train, part))


@models
@pytest.mark.parametrize("answer", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@given(a=numbers, b=numbers)
def test_addition_show_is_inverse_of_read(model, reverse, answer, a, b):
    addition = task(model, reverse=reverse, reverse_answer=answer)
    assert addition.show_source(addition.read_source(f"{a}+{b}")) == f"{a}+{b}"
    assert addition.show_target(addition.read_target(str(a + b))) == str(a + b)


def test_addition_read_source_and_target_give_ids_by_hand():
    addition = task(reverse=True)  # symbols: <pad> + 0 1 2 ...; of targets: <pad> <bos> <eos> 0 1 ...
    assert addition.read_source("12+345") == [7, 6, 5, 1, 4, 3]
    assert task(reverse=False).read_source(" 12+345\n") == [3, 4, 1, 5, 6, 7]
    assert addition.read_target("357") == [6, 8, 10, EOS_ID]
    assert task(reverse_answer=True).read_target("357") == [10, 8, 6, EOS_ID]
    assert task("repeat_vector", reverse_answer=True).read_target("357") == [9, 7, 5, PAD_ID]
    assert task("repeat_vector").read_target("357") == [5, 7, 9, PAD_ID]


@pytest.mark.parametrize(("model", "symbols", "steps"), [("encoder_decoder", 13, 5), ("repeat_vector", 12, 4)])
def test_addition_sizes_follow_from_digits(model, symbols, steps):
    addition = task(model, digits=3)
    sizes = addition.sizes
    assert (sizes.source_symbols, sizes.source_steps) == (12, 7)
    assert (sizes.target_symbols, sizes.target_steps) == (symbols, steps)
    train, _ = addition.splits()
    assert train.source.shape == (30, 7)
    assert train.target.shape == (30, steps)
    if model == "repeat_vector":  # which must learn to write the padding
        assert set(train.target_lengths) == {4}


def test_addition_show_target_of_invalid_ids():
    assert task().show_target([3, BOS_ID, PAD_ID, 4, EOS_ID, 5]) == "0  1"
    assert task().show_target([EOS_ID, 4]) == ""
    assert task("repeat_vector").show_target([PAD_ID, 3, PAD_ID, 4]) == " 1 2"


INVALID_SUMS = ["", "12", "1+2+3", "1 + 2", "-1+2", "+2", "²+1", "\u0661+1", "1234+5", "5+1234", "01+2", "2+00"]


@pytest.mark.parametrize("text", INVALID_SUMS)
def test_addition_read_source_refuses_invalid_sums(text):
    with pytest.raises(DataError) as caught:
        task().read_source(text)
    assert caught.value.message.endswith(repr(text))


@models
@pytest.mark.parametrize("text", ["", "x", "-1", "1 2", "12345", "1.0", "²"])
def test_addition_read_target_refuses_invalid_answers(model, text):
    with pytest.raises(DataError, match="4"):
        task(model).read_target(text)


@given(a=numbers, b=numbers)
def test_addition_answer_is_the_sum(a, b):
    assert task().answer(f" {a}+{b}\n") == str(a + b)


@pytest.mark.parametrize(
    ("a", "b", "carries"), [(0, 0, 0), (12, 345, 0), (5, 5, 1), (15, 5, 1), (999, 1, 3), (99, 99, 2), (505, 505, 2)]
)
def test_groups_of_counts_carries_by_hand(a, b, carries):
    assert count_carries(a, b) == count_carries(b, a) == carries
    assert task().groups(f"{a}+{b}") == {"digits": [max(len(str(a)), len(str(b)))], "carries": [carries]}


@given(a=st.integers(0, 10**9), b=st.integers(0, 10**9))
def test_count_carries_equals_loss_in_digit_sums(a, b):
    """Each carry puts 1 in the place of 10, so the sum's digits add up to 9 less."""

    def digit_sum(n):
        return sum(map(int, str(n)))

    assert count_carries(a, b) == (digit_sum(a) + digit_sum(b) - digit_sum(a + b)) // 9


def test_read_examples_computes_missing_sums():
    examples = read_examples(task(), ["1+2\t3\n", "\n", "10+5\n", "7+7\t99"], "t")  # a given answer is not doubted
    assert lines(task(), examples) == [("1+2", "3"), ("10+5", "15"), ("7+7", "99")]
    assert examples.source_lengths.tolist() == [3, 4, 3]
    assert examples.target_lengths.tolist() == [2, 3, 3]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (["1+2", "", "1+x"], r"^t\.tsv:3: .*'1\+x'"),
        (["1+2\t3\t4"], r"^t\.tsv:1: 3 columns"),
        (["1+2\t3", "1+2\tthree"], r"^t\.tsv:2: .*'three'"),
        (["1+2\t"], r"^t\.tsv:1: .*''"),
        (["", " \n"], r"^t\.tsv: "),
    ],
)
def test_read_examples_names_the_invalid_line(text, problem):
    with pytest.raises(DataError, match=problem):
        read_examples(task(), text, "t.tsv")


SHORT = {"digits": 3, "examples": 20_000, "held_out": 2000}


def one_digit_sums(task, examples):
    return [line for line, _ in lines(task, examples) if task.groups(line)["digits"] == [1]]


def test_short_sums_are_in_both_splits_and_most_are_trained_on():
    addition = task(**SHORT)
    train, held_out = (one_digit_sums(addition, examples) for examples in addition.splits())
    assert len(train) + len(held_out) == 55
    assert len(train) > 40
    assert held_out


def test_epochs_show_a_sum_as_often_as_the_square_root_of_its_draws_in_both_orders():
    addition = task(**SHORT)
    train, held_out = addition.splits()
    shown = Counter(question for question, _ in lines(addition, train.of_epoch()))
    a, b = next(question.split("+") for question in one_digit_sums(addition, train) if question[0] != question[2])
    chance = 2 * ((1 + 0.1 + 0.01) / 3 / 10) ** 2
    assert shown[f"{a}+{b}"] + shown[f"{b}+{a}"] == round((20_000 * chance) ** 0.5) == 7
    assert {shown[f"{a}+{b}"], shown[f"{b}+{a}"]} == {3, 4}
    assert min(shown.values()) == 1
    assert not shown.keys() & {f"{b}+{a}" for a, b in (line.split("+") for line, _ in lines(addition, held_out))}


def test_examples_of_an_epoch_are_the_examples_and_the_extra_ones():
    train, held_out = task(**SHORT).splits()
    assert len(train) < len(train.of_epoch()) == train.epoch_size < 1.1 * len(train)
    for name in ARRAYS:
        whole = getattr(train.of_epoch(), name)
        np.testing.assert_array_equal(whole[: len(train)], getattr(train, name))
        np.testing.assert_array_equal(whole[len(train) :], getattr(train.extra, name))
    assert held_out.of_epoch() is held_out


def test_split_evenly_takes_the_same_share_of_each_kind():
    kinds = np.repeat([3, 1, 2], [100, 1000, 50])
    train, held_out = split_evenly(kinds, 115, seed=3)
    assert sorted([*train, *held_out]) == list(range(1150))
    assert np.bincount(kinds[held_out]).tolist() == [0, 100, 5, 10]


def test_splits_of_sums_shown_once_are_those_of_version_0_1_0():
    addition = task(short_sums="once", **SHORT)
    train, held_out = addition.splits()
    a, b = draw_sums(3, 20_000, seed=0)
    drawn = [f"{x}+{y}" for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert [question for question, _ in lines(addition, train) + lines(addition, held_out)] == drawn
    assert train.extra is None


@pytest.mark.parametrize("digits", [1, 2])
def test_all_sums_that_exist_can_be_drawn(digits):
    count = 10**digits * (10**digits + 1) // 2
    train, held_out = task(digits=digits, examples=count, held_out=5).splits()
    assert (len(train), len(held_out)) == (count - 5, 5)
