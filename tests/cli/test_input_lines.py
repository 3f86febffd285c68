"""The lines of files, stdin and arguments that commands read."""

import io
import os
from pathlib import Path

import pytest

from rnncli.cli.input_lines import CHUNK_BYTES, open_lines, split_lines
from rnncli.errors import InputError
from rnncli.files import NamedFile


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\rb\rc", ["a", "b", "c"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\nc\n", ["a\rb", "c"]),
        (b"", []),
    ],
)
def test_carriage_returns_alone_end_lines(content, lines):
    assert list(split_lines(io.BytesIO(content))) == lines


def test_a_carriage_return_at_the_end_of_a_chunk_waits_for_the_next():
    first = "a" * (CHUNK_BYTES - 1)
    assert list(split_lines(io.BytesIO(f"{first}\r\nb\r\n".encode()))) == [first, "b"]


def test_workbooks_are_named(tmp_path):
    (tmp_path / "x.tsv").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="workbook"), open_lines(str(tmp_path / "x.tsv")) as (_, lines):
        list(lines)


def test_arguments_are_utf_8_whatever_the_locale(monkeypatch):
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    with open_lines(None, ["\udcc3\udca9t\udcc3\udca9", "a"]) as (_, lines):
        assert list(lines) == ["été", "a"]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here fails while it is read")
def test_error_of_reading_names_the_file_that_is_read():
    path = "/proc/self/mem"
    with pytest.raises(OSError, match="Input/output error") as caught, open_lines(path) as (_, lines):
        list(lines)
    assert caught.value.filename == path
    with NamedFile(path, "a name") as file, pytest.raises(OSError, match="Input/output error") as caught:
        file.readall()
    assert caught.value.filename == "a name"


def test_arguments_are_utf_8_whatever_the_locale_decoded_them_by():
    as_ascii = "é日".encode().decode("ascii", "surrogateescape")
    with open_lines(None, [as_ascii, "é日", "plain"]) as (_, lines):
        assert list(lines) == ["é日", "é日", "plain"]
