"""Text made safe and short for a terminal."""

import pytest

from rnncli.text import printable, quote, shorten, summarize_error


def test_printable_escapes_control_characters_and_keeps_line_ends():
    assert printable("a\x1b[2Jb\n日本") == "a\\x1b[2Jb\n日本"


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
