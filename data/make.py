"""Makes the data sets of this directory; the same script gives the same files.

    python3 -m pip install babel==2.18.0   # for dates alone; rnncli does not need it
    python3 data/make.py dates number_words kana inflection

Each set is three files of lines with columns, of which no source is in two: to train on, to measure on while
training, and to measure on once.
"""

from __future__ import annotations

import datetime
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Row = tuple[str, ...]
PARTS = {"train": 8000, "validation": 1000, "test": 1000}
LITTLE = {"train": 500, "validation": 500, "test": 500}


def dates(rng: random.Random) -> Iterator[Row]:
    """A date as it is written in a language and region, the date as ISO 8601, and both as tags.

    Short forms have two digits of the year, hence the hundred years; `03/04/12` is another day in the US than in
    Great Britain, which only the tags say.
    """
    from babel.dates import format_date

    places = ["en;US", "en;GB", "de;DE", "fr;FR", "es;ES", "it;IT", "nl;NL", "sv;SE"]
    first, last = datetime.date(1950, 1, 1).toordinal(), datetime.date(2049, 12, 31).toordinal()
    while True:
        day, place = datetime.date.fromordinal(rng.randint(first, last)), rng.choice(places)
        form = rng.choice(["short", "medium", "long", "full"])
        yield format_date(day, form, locale=place.replace(";", "_")), day.isoformat(), place


TEENS = ["ten", *(f"{stem}teen" for stem in ("thir", "four", "fif", "six", "seven", "eigh", "nine"))]
TEENS[1:1] = ["eleven", "twelve"]
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", *TEENS]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def number_words(rng: random.Random) -> Iterator[Row]:
    """A whole number below a million and its English words; of 1 to 6 digits with equal chance."""
    while True:
        digits = rng.randint(1, 6)
        number = rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
        yield str(number), words(number)


def words(number: int) -> str:
    """A number below a million as it is said in Britain."""
    if number >= 1000:
        thousands, rest = divmod(number, 1000)
        joined = " and " if 0 < rest < 100 else " "
        return words(thousands) + " thousand" + (joined + words(rest) if rest else "")
    if number >= 100:
        hundreds, rest = divmod(number, 100)
        return f"{ONES[hundreds]} hundred" + (f" and {words(rest)}" if rest else "")
    if number >= 20:
        tens, ones = divmod(number, 10)
        return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")
    return ONES[number]


# Rows of the syllabary with their consonant, and the vowels that follow it.
SYLLABLES = {
    **dict(zip("あいうえお", ["a", "i", "u", "e", "o"], strict=True)),
    **dict(zip("かきくけこ", ["ka", "ki", "ku", "ke", "ko"], strict=True)),
    **dict(zip("がぎぐげご", ["ga", "gi", "gu", "ge", "go"], strict=True)),
    **dict(zip("さしすせそ", ["sa", "shi", "su", "se", "so"], strict=True)),
    **dict(zip("ざじずぜぞ", ["za", "ji", "zu", "ze", "zo"], strict=True)),
    **dict(zip("たちつてと", ["ta", "chi", "tsu", "te", "to"], strict=True)),
    **dict(zip("だでど", ["da", "de", "do"], strict=True)),
    **dict(zip("なにぬねの", ["na", "ni", "nu", "ne", "no"], strict=True)),
    **dict(zip("はひふへほ", ["ha", "hi", "fu", "he", "ho"], strict=True)),
    **dict(zip("ばびぶべぼ", ["ba", "bi", "bu", "be", "bo"], strict=True)),
    **dict(zip("ぱぴぷぺぽ", ["pa", "pi", "pu", "pe", "po"], strict=True)),
    **dict(zip("まみむめも", ["ma", "mi", "mu", "me", "mo"], strict=True)),
    **dict(zip("やゆよ", ["ya", "yu", "yo"], strict=True)),
    **dict(zip("らりるれろ", ["ra", "ri", "ru", "re", "ro"], strict=True)),
    "わ": "wa",
}
GLIDES = {"ゃ": "a", "ゅ": "u", "ょ": "o"}
BEFORE_GLIDES = {
    **{kana: romaji[:-1] + "y" for kana, romaji in SYLLABLES.items() if kana in "きぎにひびぴみり"},
    "し": "sh",
    "じ": "j",
    "ち": "ch",
}
MACRONS = dict(zip("aiueo", "āīūēō", strict=True))


def kana(rng: random.Random) -> Iterator[Row]:
    """A made-up word in hiragana or katakana and its Hepburn romanization.

    っ doubles the consonant after it, ん is n' before a vowel or y, and the katakana's ー lengthens a vowel.
    """
    while True:
        katakana = rng.random() < 0.5
        word = "".join(_syllable(rng, katakana) for _ in range(rng.randint(1, 6))).strip("っ")
        if word and word[0] != "ん":
            written = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ん" else c for c in word) if katakana else word
            yield written, romaji(word)


def _syllable(rng: random.Random, katakana: bool) -> str:
    kind = rng.random()
    if kind < 0.07:
        return "ん"
    first = rng.choice(list(SYLLABLES))
    if kind < 0.25:
        first = rng.choice(list(BEFORE_GLIDES)) + rng.choice(list(GLIDES))
    doubled = "っ" if rng.random() < 0.1 and romaji(first)[0] in "kgsztdbpjc" else ""
    return doubled + first + ("ー" if katakana and rng.random() < 0.15 else "")


def romaji(word: str) -> str:
    """A word in hiragana, ー among it, in Hepburn romanization."""
    written, doubled = "", False
    for at, letter in enumerate(word):
        after = word[at + 1 : at + 2]
        if letter in "っ":
            doubled = True
            continue
        if letter == "ー":
            written = written[:-1] + MACRONS[written[-1]]
            continue
        if letter in GLIDES:
            written += GLIDES[letter]
            continue
        if letter == "ん":
            written += "n'" if after and after in "あいうえおやゆよ" else "n"
            continue
        sound = BEFORE_GLIDES[letter] if after in GLIDES else SYLLABLES[letter]
        written += ("t" if sound.startswith("ch") else sound[0]) * doubled + sound
        doubled = False
    return written


BACK, FRONT, VOICELESS = "aıou", "eiöü", "çfhkpsşt"  # noqa: RUF001
CONSONANTS = "bbbccçdddfgghjkkkkllllmmmmnnnnpprrrrsssşştttttvvyyyzz"
SOFTENED = dict(zip("pçtk", "bcdğ", strict=True))
HIGH = dict(zip("aıoueiöü", "ııuuiiüü", strict=True))  # noqa: RUF001
POSSESSIVES = {"PSS1S": "Im", "PSS2S": "In", "PSS3S": "sI", "PSS1P": "ImIz", "PSS2P": "InIz"}
CASES = {"NOM": "", "ACC": "yI", "DAT": "yA", "LOC": "DA", "ABL": "DAn", "GEN": "nIn"}


def inflection(rng: random.Random) -> Iterator[Row]:
    """A made-up noun, its form inflected as Turkish nouns are, and the tags of case, number and possessor.

    Vowels of endings harmonize with the one before, d hardens after voiceless consonants, and p, ç, t and k at the
    end of a stem soften before a vowel. Each noun occurs once.
    """
    seen = set[str]()
    while True:
        vowels = rng.choice([BACK, FRONT])
        count = rng.choice([1, 2, 2, 2, 3, 3])
        noun = "".join(rng.choice(CONSONANTS) + rng.choice(vowels) for _ in range(count))
        noun = noun[rng.random() < 0.15 :] + (rng.choice(CONSONANTS) if rng.random() < 0.75 else "")
        case, number = rng.choice(list(CASES)), rng.choice(["SG", "PL"])
        possessor = rng.choice([None, *POSSESSIVES])
        if len(noun) > 2 and noun not in seen:
            seen.add(noun)
            tags = [tag for tag in ("N", case, number, possessor) if tag]
            yield noun, inflected(noun, case, number, possessor), ";".join(tags)


def inflected(noun: str, case: str, number: str, possessor: str | None) -> str:
    """A form of a noun."""
    form = _suffixed(noun, "lAr") if number == "PL" else noun
    if possessor is not None:
        form = _suffixed(form, POSSESSIVES[possessor])
    ending = CASES[case]
    if possessor == "PSS3S" and ending:  # an n stands between such forms and case endings
        ending = "n" + ending.removeprefix("y").removeprefix("n")
    return _suffixed(form, ending)


def _suffixed(stem: str, suffix: str) -> str:
    """A stem with a suffix, in which A, I and D stand for sounds that follow from those before."""
    after_vowel = stem[-1] in BACK + FRONT
    if suffix[:1] in ("y", "s") or suffix == "nIn":
        suffix = suffix if after_vowel else suffix[1:]
    elif suffix[:1] == "I" and after_vowel:
        suffix = suffix[1:]
    if suffix[:1] in ("A", "I") and stem[-1] in SOFTENED and sum(c in BACK + FRONT for c in stem) > 1:
        stem = stem[:-1] + SOFTENED[stem[-1]]
    for sound in suffix:
        last = next(letter for letter in reversed(stem) if letter in BACK + FRONT)
        high = HIGH[last]
        hard = "t" if stem[-1] in VOICELESS else "d"
        stem += {"A": "a" if last in BACK else "e", "I": high, "D": hard}.get(sound, sound)
    return stem


SETS: dict[str, Callable[[random.Random], Iterator[Row]]] = {
    "dates": dates,
    "number_words": number_words,
    "kana": kana,
    "inflection": inflection,
}


def parts(name: str) -> dict[str, int]:
    """The number of lines of each file of a set."""
    return LITTLE if name == "inflection" else PARTS


def write(name: str, directory: Path) -> None:
    """Write the three files of a set."""
    rows: dict[Row, Row] = {}
    for row in SETS[name](random.Random(0)):  # noqa: S311 (not for secrets)
        rows.setdefault((row[0], *row[2:]), row)
        if len(rows) == sum(parts(name).values()):
            break
    left = iter(rows.values())
    for part, count in parts(name).items():
        lines = ("\t".join(next(left)) + "\n" for _ in range(count))
        (directory / f"{name}_{part}.tsv").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SETS:
        write(chosen, Path(__file__).parent)
