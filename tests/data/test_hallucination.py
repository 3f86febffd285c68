"""Hallucinated pairs: what stays of the training pairs, what is never made up, and what is refused."""

from pathlib import Path

import pytest
from pair_task import FEATURES, sources, task

from rnncli.config import parse_config
from rnncli.data.hallucination import Letters
from rnncli.data.tasks.pairs import Pairs
from rnncli.data.vocabulary import SPECIALS, Vocabularies, Vocabulary
from rnncli.errors import ConfigError, DataError
from rnncli.runs.provenance import data_digest

TRAIN = "walk\twalked\tV;PST\nwanderung\twanderungen\tN;PL\nbe\twas\tV;PST\nsome thing\tsome things\tN;PL\n"
CONFIG = "task: {{type: pairs, train: a, validation: b, {}}}\nmodel: encoder_decoder\n"


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_text(TRAIN)
    Path("validation.tsv").write_text("talk\ttalked\tV;PST\n")


def made_up(**options) -> tuple[list[tuple[str, str]], Pairs]:
    pairs = task(**{**FEATURES, **options})
    extra = pairs.splits()[0].extra
    return list(zip(sources(extra, pairs), map(pairs.show_target, extra.target.tolist()), strict=True)), pairs


def test_hallucinated_pairs_keep_tags_and_what_is_no_stem():
    made, _ = made_up(hallucinate=60)
    assert len(set(made)) == 60
    for source, target in made:
        lemma, tags = source.split("\t")
        if tags == "V;PST":
            assert (len(lemma), target) == (4, lemma + "ed")
        else:
            assert target in (lemma + "en", lemma + "s")


def test_hallucinated_stems_keep_the_ends_of_long_runs_and_all_but_letters():
    made, _ = made_up(hallucinate=300)
    lemmas = [source.split("\t")[0] for source, _ in made]
    assert all(lemma[0] == "w" and lemma[-1] == "g" for lemma in lemmas if len(lemma) == 9)
    assert all(lemma[4] == " " for lemma in lemmas if len(lemma) == 10)
    assert len({lemma[:4] for lemma in lemmas if len(lemma) == 10}) > 20, "the shorter run is a stem too"


def test_hallucinated_pairs_have_letters_of_both_sides_only():
    Path("train.tsv").write_text("abcQ-\tabc-\tX\n")
    made, pairs = made_up(hallucinate=12)
    assert {letter for source, _ in made for letter in source[:3]} == {"a", "b", "c"}
    assert pairs.source_vocabulary.symbols[4:] == ("-", ";X", "Q", "a", "b", "c")


def test_letters_of_targets_alone_are_in_no_stem_where_the_vocabulary_is_shared():
    Path("train.tsv").write_text("walk\twalkED\tX\ntalk\ttalkED\tX\n")
    made, pairs = made_up(hallucinate=30, shared_vocabulary=True)
    assert {"E", "D"} <= {*pairs.source_vocabulary.symbols}
    assert {letter for source, _ in made for letter in source.split("\t")[0]} == {*"walkt"}


def test_hallucination_uses_every_stem_equally_often_and_counts_the_rest():
    made, pairs = made_up(hallucinate=30)
    lengths = [len(source.split("\t")[0]) for source, _ in made]
    assert [lengths.count(length) for length in (4, 9, 10)] == [10, 10, 10]
    train = pairs.splits()[0]
    assert len(train) == 4, "made-up pairs do not count as examples"
    assert train.notes[-1] == "train.tsv: 30 pairs hallucinated from 3; 1 have no stem of 3 letters"


def test_hallucination_never_makes_up_a_source_that_is_there():
    Path("train.tsv").write_text("abc\tabcx\tX\n")
    Path("validation.tsv").write_text("abb\tabbx\tY\n")
    Path("test.tsv").write_text("aba\tabax\tX\n")
    made, _ = made_up(hallucinate=12, test="test.tsv")
    lemmas = {source.split("\t")[0] for source, _ in made}
    assert len(lemmas) == 12
    assert lemmas.isdisjoint({"abc", "abb", "aba"})


def test_hallucination_is_refused_where_there_are_fewer_different_pairs():
    Path("train.tsv").write_text("aba\tabax\tX\n")
    with pytest.raises(DataError, match="only 7 of 8 different pairs") as refused:
        made_up(hallucinate=8)  # of two letters there are 8 words of three
    assert "ask for 7" in refused.value.hint


def test_hallucination_goes_on_while_one_of_many_pairs_gives_new_ones():
    short = "".join(f"aba\tabax\tX{number}\n" for number in range(6))
    Path("train.tsv").write_text(f"{short}abababababa\tabababababax\tY\n")
    made, _ = made_up(hallucinate=200)
    assert len(set(made)) == 200


def test_hallucination_follows_from_its_seed():
    digests = [data_digest(made_up(hallucinate=10, seed=seed)[1].splits()[0]) for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_hallucination_without_features():
    Path("train.tsv").write_text("walk\twalked\n")
    Path("validation.tsv").write_text("talk\ttalked\n")
    pairs = task(hallucinate=5)
    extra = pairs.splits()[0].extra
    assert all(
        source + "ed" == pairs.show_target(row)
        for source, row in zip(sources(extra, pairs), extra.target, strict=True)
    )


def test_symbols_that_only_one_side_has_are_no_stem():
    Path("train.tsv").write_text("walk\twalked\nözu\tözus\n")
    Path("validation.tsv").write_text("talk\ttalked\n")
    pairs = task(hallucinate=5, vocabulary=str(vocabulary_without("ö")))
    assert "hallucinated from 1; 1 have no stem" in pairs.splits()[0].notes[-1]


def vocabulary_without(letter) -> Path:
    from rnncli.data.vocabulary import format_vocabularies

    pairs = task()
    kept = [
        type(side)(tuple(symbol for symbol in side.symbols if symbol != letter))
        for side in (pairs.source_vocabulary, pairs.target_vocabulary)
    ]
    Path("vocabulary.json").write_bytes(format_vocabularies(*kept))
    return Path("vocabulary.json")


def test_empty_symbol_of_a_vocabulary_is_no_letter():
    vocabulary = Vocabulary((*SPECIALS, "", "a"))
    assert Letters.of(Vocabularies(vocabulary, vocabulary), []).choices.tolist() == [5]


def test_hallucination_is_refused_where_nothing_is_copied():
    Path("train.tsv").write_text("walk\tvoko\nab\tabs\n")
    Path("validation.tsv").write_text("talk\ttoko\n")
    with pytest.raises(DataError, match=r"^task.hallucinate: train.tsv: no pair has 3 letters in a row"):
        task(hallucinate=5).splits()


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ("seed: 3", "task.seed"),
        ("hallucinate: 5, tokenize: bytes", "task.hallucinate"),
        ("hallucinate: 5, tokenize: {target: whitespace}", "task.hallucinate"),
        ("hallucinate: -1", "task.hallucinate"),
    ],
)
def test_hallucination_keys_that_do_not_fit_are_refused(keys, key):
    with pytest.raises(ConfigError) as refused:
        parse_config(CONFIG.format(keys), "config.yaml")
    assert f"{key}: " in refused.value.message
