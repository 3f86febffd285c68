"""Tokens of a text: characters, graphemes, bytes, words, in a normal form."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pair_task import task, write_files

from rnncli.data.tokenizers import normalizer, tokenizer
from rnncli.errors import InputError


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)


@pytest.mark.parametrize(
    ("form", "symbols"),
    [("nfc", ["é", "ﬁ"]), ("nfd", ["e", "\u0301", "ﬁ"]), ("nfkc", ["é", "f", "i"]), ("none", ["e", "\u0301", "ﬁ"])],
)
def test_normalizer_applies_unicode_normal_form(form, symbols):
    Path("train.tsv").write_text("e\u0301ﬁ\tx\n")
    assert sorted(task(normalize=form).source_vocabulary.symbols[4:]) == sorted(symbols)


@pytest.mark.parametrize(
    ("name", "text", "symbols"),
    [
        ("characters", "a é", ["a", " ", "é"]),
        ("whitespace", " a  bc \u3000d", ["a", "bc", "d"]),
        ("bytes", "aé~", ["a", "<0xC3>", "<0xA9>", "~"]),
    ],
)
def test_tokenizers_split_and_join_text(name, text, symbols):
    assert tokenizer(name).split(text) == symbols


def test_graphemes_are_extended_grapheme_clusters():
    pytest.importorskip("regex")
    family, flag = "👩‍👩‍👧", "🇬🇷"
    assert tokenizer("graphemes").split(f"क्षि{family}{flag}x\u0301") == [
        *tokenizer("graphemes").split("क्षि"),
        family,
        flag,
        "x\u0301",
    ]


def test_graphemes_without_regex_give_install_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "regex", None)
    with pytest.raises(InputError, match=r"task\.tokenize: graphemes .*regex") as refused:
        task(tokenize="graphemes")
    assert "pip install regex" in refused.value.hint


@given(st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"])))
def test_bytes_join_is_inverse_of_split(text):
    split, join, *_ = tokenizer("bytes")
    assert join(split(text)) == text


def test_invalid_bytes_become_replacement_characters():
    assert tokenizer("bytes").join(["a", "<0xC3>", "b"]) == "a\N{REPLACEMENT CHARACTER}b"


@given(st.text())
def test_normalizer_is_idempotent(text):
    clean = normalizer("nfc")
    assert clean(clean(text)) == clean(text)
