"""Training data in mapped files: the same arrays as in memory, and a cache that is whole, sound and bounded."""

import fcntl
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pair_task import FEATURES, task

from rnncli.config import PairsTask, TextTask
from rnncli.data import cache, mapped_pairs, mapped_text, text_files
from rnncli.data.examples import ARRAYS
from rnncli.data.mapped_rows import ArrayWriter, MappedRows, MappedWindows, Room
from rnncli.data.references import note_several_targets
from rnncli.data.tasks.text import Text
from rnncli.data.text_files import read_text, read_texts, text_in_pieces, texts_in_pieces
from rnncli.data.vocabulary import SPECIALS, Vocabularies, Vocabulary
from rnncli.errors import DataError, InputError, RnncliWarning, RunFailedError
from rnncli.runs.provenance import data_digest

LINES = ["ab\tba\n", "abc\tcba!\n", "cab\tbac\n", "ab\tba!\n", "bbé\tébb\n"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of the files of a task of pairs, and a cache for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("train.tsv").write_text("".join(LINES))
    Path("validation.tsv").write_text("cab\tbac\nzb\tbz\n")
    return tmp_path / "cache/rnncli/data"


def entries(folder):
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def check_same(mapped, memory):
    """Check that the training examples of two tasks are the same, though only the first are mapped."""
    (train, held_out), (expected, expected_held_out) = mapped.splits(), memory.splits()
    assert isinstance(train.source, MappedRows)
    assert isinstance(expected.source, np.ndarray)
    assert mapped.source_vocabulary == memory.source_vocabulary
    assert mapped.target_vocabulary == memory.target_vocabulary
    for some, all_in_memory in ((train, expected), (held_out, expected_held_out)):
        for name in ARRAYS:
            np.testing.assert_array_equal(np.asarray(getattr(some, name)), getattr(all_in_memory, name), strict=True)
        assert data_digest(some) == data_digest(all_in_memory)
        assert [note for note in some.notes if "encoded into" not in note] == list(all_in_memory.notes)
        assert some.left_out == all_in_memory.left_out
    for index in (slice(1, None), [1, 0], 1, (slice(None), 0)):
        np.testing.assert_array_equal(np.asarray(train.target[index]), expected.target[index])


def test_waiting_for_another_process_is_said(folder):
    folder.mkdir(parents=True)
    with (folder / cache.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.2, held.close).start()
        with pytest.warns(RnncliWarning, match="another process"):
            task(data="mapped").splits()


PAIR_OPTIONS = {
    "as it is": {},
    "bytes, rare symbols": {"tokenize": "bytes", "min_frequency": 3},
    "long pairs left out": {"max_source_length": 2, "too_long": "skip"},
    "features": {**FEATURES, "train": "tags.tsv", "validation": "tags.tsv"},
    "parallel": {"train": {"source": "a.txt", "target": "b.txt"}},
    "no symbols of targets": {"train": "empty.tsv", "empty_target": "allow", "validation": "empty.tsv"},
}


@pytest.mark.parametrize("options", PAIR_OPTIONS.values(), ids=PAIR_OPTIONS)
def test_mapped_pairs_are_those_in_memory(options):
    Path("tags.tsv").write_text("ab\tba\tV;PST\nba\tab\tV\nab\tbb\tV\n")
    Path("a.txt").write_text("ab\nba\nccc")
    Path("b.txt").write_text("x\nyy\nzzz")
    Path("empty.tsv").write_text("ab\t\nb\t\n")
    check_same(task(data="mapped", **options), task(**options))
    check_same(task(data="mapped", **options), task(**options))  # from the cache


def test_mapped_pairs_that_copy_are_those_in_memory():
    tasks = [task(data=data, min_frequency=2) for data in ("mapped", "memory")]
    for each in tasks:
        each.copy_source()
    check_same(*tasks)
    assert int(np.asarray(tasks[0].splits()[0].target).max()) >= len(tasks[0].target_vocabulary), "nothing is copied"


TEXT_OPTIONS = {
    "characters": {},
    "rare words": {"tokenize": "words", "min_frequency": 8},
    "bytes": {"tokenize": "bytes", "split": 0.3},
    "held-out file": {"validation": "train.tsv"},
    "several files": {"train": "*.tsv"},
}


@pytest.mark.parametrize("options", TEXT_OPTIONS.values(), ids=TEXT_OPTIONS)
def test_mapped_text_is_that_in_memory(options):
    Path("text.txt").write_text("".join(f"é{n * n} be{n % 5}\n" for n in range(40)))

    def text(data):
        return Text(TextTask.model_validate({"train": "text.txt", "window": 4, "data": data, **options}))

    check_same(text("mapped"), text("memory"))
    assert isinstance(text("mapped").splits()[0].source, MappedWindows)


def test_files_are_encoded_once_and_whatever_the_vocabulary(folder, monkeypatch):
    assert any("encoded into" in note for note in task(data="mapped").splits()[0].notes)
    assert {oct(each.stat().st_mode & 0o777) for each in (folder, *entries(folder))} == {"0o700"}
    monkeypatch.setattr(mapped_pairs, "PairReader", None)  # nothing is read any more
    check = task(data="mapped", min_frequency=2).splits()[0]
    assert not any("encoded into" in note for note in check.notes)
    assert len(entries(folder)) == 1


NOTED = "source\ttarget\nab\t\nab\tba\nabc\n"


@pytest.mark.parametrize("files", ["a.tsv", "?.tsv", {"source": "?.txt", "target": "?.txt"}])
def test_files_are_encoded_once_whatever_their_names(folder, monkeypatch, files):
    Path("a.tsv").write_text(NOTED)
    Path("a.txt").write_text("ab\n")
    Path("x: y").mkdir()
    for name in ("a.tsv", "a.txt"):
        Path("x: y", name).write_text(Path(name).read_text())
    options = {"header": True, "empty_target": "skip", "ragged_rows": "skip", "too_long": "skip"}
    if isinstance(files, dict):
        Path("a.txt").write_text("source\nab\n")
        Path("x: y/a.txt").write_text("source\nab\n")
        moved = {side: f"x: y/{name}" for side, name in files.items()}
    else:
        moved = f"x: y/{files}"
    task(data="mapped", train=files, **options).splits()
    monkeypatch.setattr(cache, "_write_entry", None)
    for train in (files, moved):
        notes = task(data="mapped", train=train, **options).splits()[0].notes
        assert notes == task(train=train, **options).splits()[0].notes
        assert len(notes) == (3 if isinstance(files, str) else 1)
    assert len(entries(folder)) == 1


def test_files_in_other_places_are_encoded_again(folder):
    for name, text in {"a": "ab", "b": "ba", "c": "cc", "d": "dd"}.items():
        Path(f"{name}.txt").write_text(f"{text}\n")
    task(data="mapped", train={"source": "[ab].txt", "target": "[cd].txt"})
    task(data="mapped", train={"source": "[cd].txt", "target": "[ab].txt"})
    assert len(entries(folder)) == 2
    with pytest.raises(InputError, match="3 source files and 1 target files"):
        task(data="mapped", train={"source": "[abc].txt", "target": "d.txt"})


def test_run_that_has_parts_of_brackets_as_features_has_files_of_its_own():
    Path("tags.tsv").write_text("ab\tba\tN;ABL(PL;PSS)\nba\tab\tN\n")
    options = {**FEATURES, "train": "tags.tsv", "validation": "tags.tsv"}
    symbols = (*SPECIALS, ";ABL(PL", ";N", ";PSS)", "a", "b")
    recorded = Vocabularies(Vocabulary(symbols), Vocabulary((*SPECIALS, "a", "b")))
    task(data="mapped", **options).splits()
    options["feature_brackets"] = "split"
    check_same(task(recorded, data="mapped", **options), task(recorded, **options))


def test_data_are_encoded_again_with_another_version_of_the_package_that_splits(folder, monkeypatch):
    regex = pytest.importorskip("regex")
    Path("text.txt").write_text("some text, and more\n" * 9)
    for version in ("1", "2"):
        monkeypatch.setattr(regex, "__version__", version)
        task(data="mapped", tokenize="graphemes")
        Text(TextTask(train="text.txt", window=4, data="mapped", tokenize="graphemes"))
    assert len(entries(folder)) == 4


def test_text_is_encoded_once_whatever_its_name(folder):
    Path("text.txt").write_text("some text, and more\n" * 9)
    for name in ("text.txt", str(Path("text.txt").absolute())):
        notes = Text(TextTask(train=name, window=4, data="mapped")).splits()[0].notes
        assert any(" kB)" in note for note in notes) == (name == "text.txt")
    assert len(entries(folder)) == 1


@pytest.mark.parametrize(("name", "value"), [("source.npy", 88), ("source_bounds.npy", 0), ("source_bounds.npy", 88)])
def test_file_that_changes_while_it_is_mapped_is_a_failure(folder, name, value):
    train, _ = task(data="mapped").splits()
    path = entries(folder)[0] / name
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(bytes([value] * 4))
    with pytest.raises(RunFailedError, match="changed while they were read"):
        np.asarray(train.source)


def test_changed_file_is_encoded_again():
    task(data="mapped").splits()
    status = Path("train.tsv").stat()
    Path("train.tsv").write_text("".join(LINES).replace("cab", "bac"))
    os.utime("train.tsv", ns=(status.st_atime_ns, status.st_mtime_ns))  # same size, same time
    check_same(task(data="mapped"), task())


def test_file_that_changes_while_it_is_read_is_refused(folder, monkeypatch):
    read = mapped_pairs.text_in_pieces

    def change(path, **options):
        pieces = read(path, **options)
        Path("train.tsv").write_text("a\tb\n")
        return pieces

    monkeypatch.setattr(mapped_pairs, "text_in_pieces", change)
    with pytest.raises(InputError, match="changed while"):
        task(data="mapped")
    assert entries(folder) == []


@pytest.mark.parametrize("header", ["auto", False])
def test_file_that_appears_while_others_are_read_is_refused(folder, monkeypatch, header):
    matching = mapped_pairs.matching_files

    def add(pattern):
        found = matching(pattern)
        Path("b.tsv").write_text("source\ttarget\nab\tba\n")
        return found

    Path("a.tsv").write_text("ab\tba\n")
    monkeypatch.setattr(mapped_pairs, "matching_files", add)
    with pytest.raises(InputError, match="changed while"):
        task(data="mapped", train="?.tsv", header=header)
    assert entries(folder) == []


def flip(path):
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def replace_by_link(path):
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


DAMAGE = {
    "a flipped bit": flip,
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "gone": Path.unlink,
    "a link": replace_by_link,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("name", ["about.json", "source.npy", "target_bounds.npy"])
def test_damaged_entry_is_written_again(folder, name, damage):
    task(data="mapped").splits()
    damage(entries(folder)[0] / name)
    with pytest.warns(RnncliWarning, match="damaged encoded data") as warned:
        check_same(task(data="mapped"), task())
    assert len(warned) == 1
    check_same(task(data="mapped"), task())


def test_entry_of_other_data_is_refused(folder):
    task(data="mapped").splits()
    (entry,) = entries(folder)
    Path("train.tsv").write_text("".join(LINES[:2]))
    task(data="mapped").splits()
    (other,) = set(entries(folder)) - {entry}
    for each in entry.iterdir():
        (other / each.name).write_bytes(each.read_bytes())
    with pytest.warns(RnncliWarning, match="another entry"):
        check_same(task(data="mapped"), task())


def test_least_recently_used_entries_make_room(folder):
    size = []
    for number in range(3):
        Path("train.tsv").write_text("".join(LINES) + f"{number}\tx\n")
        task(data="mapped").splits()
        (new,) = set(entries(folder)) - {path for path, _ in size}
        size.append((new, sum(each.stat().st_size for each in new.iterdir())))
        os.utime(new, (number, number))
    (first, bytes_of_one), (second, _), (third, _) = size
    Path("train.tsv").write_text("".join(LINES) + "0\tx\n")
    task(data="mapped").splits()  # the first entry is used once more
    Path("train.tsv").write_text("".join(LINES) + "3\tx\n")
    task(data="mapped", cache_limit=2.9 * bytes_of_one / 1e9).splits()
    kept = entries(folder)
    assert len(kept) == 2
    assert first in kept
    assert not {second, third} & {*kept}


def test_data_that_may_not_take_the_room_stay_in_memory(folder):
    with pytest.warns(RnncliWarning, match=r"kept in memory.*more than") as warned:
        train, _ = task(data="mapped", cache_limit=1e-7).splits()
    assert len(warned) == 1
    assert isinstance(train.source, np.ndarray)
    assert entries(folder) == []


def test_data_of_more_distinct_symbols_than_are_read_again_stay_in_memory(folder, monkeypatch):
    monkeypatch.setattr(cache, "MAX_ABOUT", 200)
    with pytest.warns(RnncliWarning, match=r"kept in memory.*distinct symbols"):
        train, _ = task(data="mapped").splits()
    assert isinstance(train.source, np.ndarray)
    assert entries(folder) == []


def test_cache_that_cannot_be_written_leaves_data_in_memory(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("train.tsv").absolute()))
    with pytest.warns(RnncliWarning, match="kept in memory") as warned:
        train, _ = task(data="mapped").splits()
    assert len(warned) == 1
    assert isinstance(train.source, np.ndarray)


def test_what_a_killed_process_left_is_removed(folder):
    task(data="mapped").splits()
    left = folder / f".{entries(folder)[0].name}-{'0' * 16}"
    left.mkdir()
    (left / "source.npy").write_bytes(b"")
    os.utime(left, (0, 0))
    Path("train.tsv").write_text("".join(LINES[:3]))
    task(data="mapped").splits()
    assert left.exists(), "another process may be writing it"
    os.utime(left / "source.npy", (0, 0))
    Path("train.tsv").write_text("".join(LINES[:2]))
    task(data="mapped").splits()
    assert not left.exists()


ENCODE = """
import sys, pair_task
sys.stdin.read(1)
train, _ = pair_task.task(data="mapped").splits()
print(len(train), any("encoded into" in note for note in train.notes))
"""


def test_processes_that_need_an_entry_at_once_write_it_once(folder):
    Path("train.tsv").write_text("".join(LINES) * 2000)
    paths = os.pathsep.join([str(Path(mapped_pairs.__file__).parents[2]), *(path for path in sys.path if path)])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ENCODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        for _ in range(2)
    ]
    for each in both:
        each.stdin.write(b"\n")
        each.stdin.flush()
    said = sorted(each.communicate(timeout=60)[0].decode() for each in both)
    assert said == [f"{len(LINES) * 2000} False\n", f"{len(LINES) * 2000} True\n"]
    assert len(entries(folder)) == 1


def test_auto_maps_large_files_only(monkeypatch):
    assert isinstance(task().splits()[0].source, np.ndarray)
    monkeypatch.setattr(cache, "MIN_MAPPED_BYTES", Path("train.tsv").stat().st_size)
    assert isinstance(task().splits()[0].source, MappedRows)
    assert isinstance(task(data="memory").splits()[0].source, np.ndarray)
    Path("train.tsv").write_text("".join(LINES) + "abcdef\tabcdef\n")
    assert isinstance(task(hallucinate=1).splits()[0].source, np.ndarray)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("shown", [True, False])
def test_bar_is_shown_on_a_terminal_while_data_are_encoded(monkeypatch, shown):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(cache, "BAR_DELAY", 0)
    with cache.showing_bar(shown):
        task(data="mapped")
    assert ("encoding: " in terminal.getvalue()) == shown


def test_pipe_cannot_be_mapped():
    reading, writing = os.pipe()
    try:
        with pytest.raises(InputError, match=r"^/dev/fd/.*task\.data"):
            task(data="mapped", train=f"/dev/fd/{reading}")
    finally:
        os.close(reading)
        os.close(writing)


def test_directory_of_pairs_is_refused_as_in_memory():
    Path("folder").mkdir()
    messages = []
    for data in ("memory", "mapped"):
        with pytest.raises(InputError, match="directory") as refused:
            task(data=data, train="folder")
        messages.append((refused.value.message, refused.value.hint))
    assert messages[0] == messages[1]


def test_missing_file_is_named():
    with pytest.raises(InputError, match=r"trian\.tsv: no such file") as refused:
        task(data="mapped", train="trian.tsv")
    assert "train.tsv" in refused.value.hint


def test_every_key_of_a_section_is_known_to_decide_what_is_read_or_not():
    others = {"type", "train", "validation", "test", "vocabulary", "min_frequency", "data", "cache_limit"}
    assert {*PairsTask.model_fields} == mapped_pairs.DECIDES | others | {"hallucinate", "seed", "shared_vocabulary"}
    generated = {"split", "window", "windows", "held_out", "seed"}
    assert {*TextTask.model_fields} == mapped_text.DECIDES | (others - {"test", "vocabulary"}) | generated


def test_sources_with_several_targets_are_found_in_mapped_files():
    notes = [task(data=data).splits()[0].notes for data in ("mapped", "memory")]
    assert notes[0][-1] == notes[1][-1]
    assert "several targets" in notes[0][-1]
    examples = task(data="mapped").splits()[0]
    assert note_several_targets(examples, task().source_vocabulary, "x") == [f"x{notes[0][-1][len('train.tsv') :]}"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("aé\r\n\ufeff", max_size=9), min_size=1, max_size=3), st.integers(1, 5))
@example(["a\n", "", "b"], 1)
@example(["a\nb\r", "\r\n"], 2)
@example(["a\rb"], 1)
def test_text_in_pieces_is_the_whole_text(monkeypatch, texts, size):
    monkeypatch.setattr(text_files, "PIECE_BYTES", size)
    names = [f"{number}.part" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        Path(name).write_bytes(text.encode())
        assert "".join(text_in_pieces(name)()) == read_text(name)
    for old in set(Path().glob("*.part")) - {*map(Path, names)}:
        old.unlink()
    pieces = list(texts_in_pieces(names))
    assert "".join(pieces) == read_texts("*.part")


@pytest.mark.parametrize("data", [b"a\nb\n\xff", b"a\nb\n\0", b"PK\x03\x04", b"\x1f\x8bx", b"\xef\xbb\xbf\xff"])
def test_errors_of_text_in_pieces_are_those_of_the_whole_text(data):
    Path("bad.txt").write_bytes(data)
    with pytest.raises(InputError) as expected:
        read_text("bad.txt")
    with pytest.raises(type(expected.value)) as refused:
        list(text_in_pieces("bad.txt")())
    assert refused.value.message.partition("gzip file: ")[0] == expected.value.message.partition("gzip file: ")[0]


def test_errors_of_mapped_pairs_are_those_in_memory():
    for wrong in ("ab\n", "ab\tba\tx\n", "\tba\n", "ab\t\n", "", f"ab\t{'a' * 200}\n"):
        Path("train.tsv").write_text("".join(LINES) * bool(wrong) + wrong)
        messages = []
        for data in ("memory", "mapped"):
            with pytest.raises(DataError) as refused:
                task(data=data)
            messages.append((refused.value.message, refused.value.hint))
        assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("begin", "blocks"),
    [
        (np.uint8, [np.array([255], np.uint8), np.array([256], np.uint16), np.array([1, 70_000], np.int32)]),
        (np.uint32, [np.array([0], np.uint32), np.array([2**32], np.int64), np.array([1], np.uint32)]),
    ],
)
def test_written_arrays_become_wider_where_values_need_it(tmp_path, begin, blocks):
    writer = ArrayWriter(tmp_path / "x.npy", begin, Room(1000))
    for block in blocks:
        writer.append(block)
    writer.close()
    found = np.load(tmp_path / "x.npy")
    assert found.tolist() == np.concatenate(blocks).tolist()
    assert found.dtype == max((block.dtype for block in blocks), key=lambda dtype: dtype.itemsize)
