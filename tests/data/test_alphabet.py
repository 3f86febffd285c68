"""The alphabet task: its windows, its letters, and which lines are refused."""

import pytest

from rnncli.config import AlphabetTask
from rnncli.data.parsing import read_examples
from rnncli.data.tasks.alphabet import Alphabet
from rnncli.errors import DataError


def task(**options):
    return Alphabet(AlphabetTask.model_validate(options))


def lines(task):
    windows, same = task.splits()
    assert same is windows
    pairs = zip(windows.source.tolist(), windows.target.tolist(), strict=True)
    return [(task.show_source(source), task.show_target(target)) for source, target in pairs]


def test_alphabet_of_27_letters_has_24_windows_of_three():
    pairs = lines(task())
    assert len(pairs) == 24
    assert pairs[0] == ("ABC", "D")
    assert pairs[22] == ("WXY", "Z")
    assert pairs[23] == ("XYZ", "A")
    assert len(set(pairs)) == 24


def test_alphabet_targets_are_next_letters():
    assert lines(task(alphabet="hello!", window=2)) == [("he", "l"), ("el", "l"), ("ll", "o"), ("lo", "!")]


def test_alphabet_lengths_and_sizes():
    alphabet = task()
    windows, _ = alphabet.splits()
    assert windows.source.shape == (24, 3)
    assert windows.target.shape == (24, 1)
    assert set(windows.source_lengths) == {3}
    assert set(windows.target_lengths) == {1}
    sizes = alphabet.sizes
    assert (sizes.source_symbols, sizes.source_steps, sizes.target_symbols, sizes.target_steps) == (26, 3, 26, 1)


def test_alphabet_show_is_inverse_of_read():
    alphabet = task()
    assert alphabet.read_source(" ABZ\n") == [0, 1, 25]
    assert alphabet.show_source([0, 1, 25]) == "ABZ"
    assert alphabet.read_target("C\n") == [2]
    assert alphabet.show_target([2]) == "C"


@pytest.mark.parametrize("text", ["", "AB", "ABCD", "ABc", "A C"])
def test_alphabet_read_source_refuses_invalid_windows(text):
    with pytest.raises(DataError) as caught:
        task().read_source(text)
    assert caught.value.message.endswith(repr(text))


@pytest.mark.parametrize("text", ["", "AB", "é"])
def test_alphabet_read_target_refuses_invalid_letters(text):
    with pytest.raises(DataError):
        task().read_target(text)


def test_alphabet_answer_is_none_for_ambiguous_windows():
    alphabet = task(alphabet="ABABCAB", window=1)
    assert alphabet.answer("A") == "B"
    assert alphabet.answer("B") is None  # A or C
    assert alphabet.answer("C") == "A"
    assert task().answer("XYZ\n") == "A"
    assert task().answer("ACE") is None


def test_read_examples_needs_a_target_for_ambiguous_windows():
    with pytest.raises(DataError, match=r"t:2: no target"):
        read_examples(task(), ["ABC", "ACE"], "t")
    examples = read_examples(task(), ["ABC", "ACE\tG"], "t")
    assert examples.target.tolist() == [[3], [6]]
