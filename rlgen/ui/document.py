"""The HTML of the page: its scripts and style sheets as links for the server, or within it for a report."""

import base64
import hashlib
import html
from functools import cache
from pathlib import Path

from rlgen.ui import page

FOLDER = Path(page.__file__).parent


def file(name: str) -> Path | None:
    """The path of a script or style sheet of the page; None for any other name."""
    return FOLDER / name if name in (*page.SCRIPTS, *page.STYLES) else None


def linked() -> str:
    """The page with links to its files."""
    return _fill(
        styles="\n".join(f'<link rel="stylesheet" href="/page/{name}">' for name in page.STYLES),
        scripts="\n".join(f'<script src="/page/{name}"></script>' for name in page.SCRIPTS),
    )


def inlined(title: str, data: str, footer: str) -> str:
    """The page as one file with `data`, the escaped JSON of its element `data`, and a line of text at its end.

    Its policy allows no request and no other code.

    Raises ValueError for a script or style sheet that would end its own element.
    """
    scripts, styles = ([_text(name) for name in names] for names in (page.SCRIPTS, page.STYLES))
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    return _fill(
        title=title,
        styles=f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n'
        + "\n".join(f"<style>{text}</style>" for text in styles),
        data=f'<footer class="report">{html.escape(footer)}</footer>\n'
        f'<script type="application/json" id="data">{data}</script>',
        scripts="\n".join(f"<script>{text}</script>" for text in scripts),
    )


def escaped(data: str) -> str:
    """ASCII JSON that may stand in a script element: `<`, `>` and `&` within its texts are written as numbers."""
    for letter in "<>&":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    return data


def _fill(*, styles: str, scripts: str, data: str = "", title: str = "rlgen") -> str:
    before, _, rest = _template().partition("<!-- styles -->")
    between, _, rest = rest.partition("<!-- data -->")
    middle, _, after = rest.partition("<!-- scripts -->")
    before = before.replace("<title>rlgen</title>", f"<title>{html.escape(title)}</title>")
    return "".join((before, styles, between, data, middle, scripts, after))


def _text(name: str) -> str:
    text = (FOLDER / name).read_text("utf-8")
    if any(end in text.lower() for end in ("</script", "<!--", "</style")):
        raise ValueError(f"{name} holds the end of a script or style element, or the start of a comment")
    return text


def _hashes(texts: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


@cache
def _template() -> str:
    return (FOLDER / "page.html").read_text("utf-8")
