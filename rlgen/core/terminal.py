"""Text from files of others on a terminal: control characters, which could move the cursor or hide text, as escapes."""

import sys
import unicodedata

CONTROLS = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # Unicode categories, those of escape sequences and writing direction


def visible(text: str) -> str:
    r"""One line in which every control character is shown as its escape, such as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in CONTROLS else c for c in text)


def show(*lines: object, error: bool = False) -> None:
    """Print each of `lines` as one visible line, on stderr for an `error`."""
    for line in lines:
        print(visible(str(line)), file=sys.stderr if error else sys.stdout)
