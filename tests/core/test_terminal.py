import pytest

from rlgen.core.terminal import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 3 %", "plain text, 3 %"),
        ("größe γ 数", "größe γ 数"),
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
        ("a\nb\r\tc\x00\x7f", "a\\nb\\r\\tc\\x00\\x7f"),
        ("\x9b31m", "\\x9b31m"),  # the one-byte form of an escape sequence
        ("run\u202egnp", "run\\u202egnp"),  # the other writing direction
        ("\u2028\ud800", "\\u2028\\ud800"),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert visible(text) == shown
    assert visible(text).isprintable()
