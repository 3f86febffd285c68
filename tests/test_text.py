"""Text made safe and short for a terminal."""

import json
import subprocess

import pytest

from rnncli.errors import command_line
from rnncli.text import escape_controls, escape_json, printable, quote, shorten, summarize_error


def test_printable_escapes_control_characters_and_keeps_line_ends():
    assert printable("a\x1b[2Jb\n日本") == "a\\x1b[2Jb\n日本"


CONTROLS = [chr(code) for code in (*range(32), *range(127, 160), 0x2028, 0x2029)]


def test_what_ends_lines_or_drives_a_terminal_is_escaped_and_all_else_stays():
    text = "日本 a\\b\u00a0\u200d\u0301é"
    assert escape_controls(text) == escape_json(text) == text
    assert escape_controls("a\x1b[2J\nb\t\x9b") == "a\\x1b[2J\\nb\\t\\x9b"
    for control in CONTROLS:
        assert not set(escape_controls(f"x{control}y")) & set(CONTROLS)
        written = escape_json(json.dumps([control], ensure_ascii=False))
        assert not set(written) & set(CONTROLS)
        assert json.loads(written) == [control]


@pytest.mark.parametrize(("text", "line"), [("short", "short"), ("abcdefghij", "abcde..."), ("a\nb", "a\\nb")])
def test_shorten_keeps_one_line_of_at_most_the_width(text, line):
    assert shorten(text, 8) == line


def test_shorten_counts_escaped_characters():
    assert len(shorten("\x00" * 100, 30)) == 30


def test_quote_shows_the_beginning_of_long_text():
    assert quote("a'b") == '"a\'b"'
    assert quote("x" * 50, 10) == "'xxxxxxx...'"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[1m{{function_node __x}} Failed to call it. [Op:Y]\x1b[0m\nmore", "ValueError: Failed to call it."),
        (
            "Exception encountered when calling LSTM.call().\n\nNo cuDNN.\n\nArguments received",
            "ValueError: No cuDNN.",
        ),
        ("", "ValueError"),
    ],
)
def test_summarize_error_keeps_the_line_that_names_the_problem(text, line):
    assert summarize_error(ValueError(text)) == line


@pytest.mark.parametrize("text", ["walk\tV;PST", "it's\t\\n", "a b", "plain"])
def test_a_shell_reads_a_command_as_it_was_meant(text):
    command = command_line("predict", text)
    assert "\t" not in command
    read = subprocess.run(
        ["bash", "-c", command.replace("rnncli predict", "printf %s")], capture_output=True, text=True, check=True
    )
    assert read.stdout == text
