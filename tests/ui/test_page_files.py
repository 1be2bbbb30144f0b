"""The files of the page: their size, their licence, and what they must not hold."""

import re
import zlib
from pathlib import Path

import pytest

from rlgen.ui import page

FOLDER = Path(page.__file__).parent
OURS = sorted(
    path for path in FOLDER.rglob("*") if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts
)
LIMIT = 150_000  # bytes that the page adds to the wheel
LINES = 300


def test_every_file_is_loaded_once_and_exists():
    listed = [*page.STYLES, *page.SCRIPTS]
    assert len(listed) == len(set(listed))
    found = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in (".js", ".css")}
    assert found == set(listed)
    assert page.SCRIPTS[0].startswith("vendor/")
    assert page.SCRIPTS[-1] == "main.js"


def test_the_page_adds_little_to_the_wheel():
    added = sum(len(zlib.compress(path.read_bytes())) for path in FOLDER.rglob("*") if path.is_file())
    assert added <= LIMIT


def test_the_licence_of_uplot_is_with_it():
    assert "Leon Sorokin" in (FOLDER / "vendor" / "LICENSE").read_text()
    assert "uPlot (v1.6.32)" in (FOLDER / "vendor" / "uplot.js").read_text("utf-8")


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_text_reaches_the_page_as_text_alone(path):
    text = path.read_text("utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment"
    assert not re.findall(forbidden, text)
    assert (
        not re.findall(
            r"<!--|</script|</style|\sstyle=",
            text.replace("<!-- styles -->", "").replace("<!-- data -->", "").replace("<!-- scripts -->", ""),
        )
        or path.suffix == ".html"
    )


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path):
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[\w/.-]*", path.read_text("utf-8"))
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in path.read_text("utf-8")


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_files_are_short(path):
    assert len(path.read_text("utf-8").splitlines()) <= LINES
