"""The HTML of the page: every file of it is listed, present, packaged and small."""

import io
import zipfile

from rlgen.ui import document, page

KINDS = (".js", ".css")


def test_every_script_and_style_sheet_is_listed_once_and_exists():
    listed = [*page.SCRIPTS, *page.STYLES]
    assert len(set(listed)) == len(listed)
    present = {str(path.relative_to(document.FOLDER)) for path in document.FOLDER.rglob("*") if path.suffix in KINDS}
    assert set(listed) == present


def test_the_page_links_its_files_in_order_and_has_no_code_of_its_own():
    text = document.linked()
    scripts = [part.split('"')[0] for part in text.split('<script src="/page/')[1:]]
    assert scripts == list(page.SCRIPTS)
    assert text.count("<script") == len(scripts)
    assert "<style" not in text
    assert "style=" not in text
    assert " on" not in text.split("<body>")[1].split("<noscript>")[0]


def test_only_listed_files_are_served():
    assert document.file("source.js") == document.FOLDER / "source.js"
    for name in ("__init__.py", "page.html", "../server.py", "", "panels"):
        assert document.file(name) is None


def test_what_the_page_adds_to_a_wheel():
    """At most 150 kB."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in document.FOLDER.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                wheel.write(path, path.relative_to(document.FOLDER))
    assert written.tell() <= 150_000


def test_data_cannot_end_their_element():
    text = document.inlined("<t>", document.escaped('{"a": "</script><!--&"}'), "<f>")
    assert '{"a": "\\u003c/script\\u003e\\u003c!--\\u0026"}' in text
    assert "<title>&lt;t&gt;</title>" in text
    assert '<footer class="report">&lt;f&gt;</footer>' in text
