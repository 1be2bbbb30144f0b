"""One file with the page and its data: it fits, escapes every text, and its policy allows no request."""

import base64
import hashlib
import html
import io
import json
import re
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from rlgen.ui import document, inlining, page, shrinking
from rlgen.ui.shrinking import Picture, fit, thinned
from tests.ui.conftest import make_run

NAME = "</script><img src=x onerror=alert(1)> <!-- 'a' & \"b\" ünï"


def noise(side, seed=0, suffix="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix)
    return file.getvalue()


def run_with_pictures(runs, name="one", side=60, times=(0, 10, 20), rows=50):
    directory = make_run(runs, name, [{"time": 10 * i, "loss": 1 / (i + 1)} for i in range(rows)], task=NAME)
    (directory / "samples").mkdir()
    for time in times:
        (directory / "samples" / f"{time:09d}.png").write_bytes(noise(side, time))
    (directory / "grid.png").write_bytes(noise(side))
    (directory / "curves.png").write_bytes(noise(side))
    return directory


def data(out):
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', out.read_text(), re.DOTALL)
    return json.loads(found)


def test_the_data_of_the_page_are_within(runs, tmp_path):
    run_with_pictures(runs)
    out = tmp_path / "report.html"
    assert inlining.write([runs / "one"], out) == []
    found = data(out)
    assert [run["name"] for run in found["/api/runs"]["runs"]] == ["one"]
    assert found["/api/runs/one"]["pictures"] == {"grid.png": [], "samples": [0, 10, 20]}
    assert len(found["/api/runs/one/log"]["rows"]) == 50
    assert found["/api/runs/one/episodes"]["rows"] == []
    picture = found["/api/runs/one/picture/samples/10"]
    assert base64.b64decode(picture.removeprefix("data:image/png;base64,")) == noise(60, 10)
    assert str(runs) not in out.read_text()


def test_texts_of_a_run_cannot_end_the_data(runs, tmp_path):
    directory = run_with_pictures(runs).rename(runs / "a <b> 'c' (d)")
    out = tmp_path / "report.html"
    inlining.write([directory], out)
    text = out.read_text()
    assert "onerror=alert" in text
    assert "<img src=x" not in text
    assert data(out)["/api/runs"]["runs"][0]["task"] == NAME
    assert f"/api/runs/{quote(directory.name, safe=inlining.UNRESERVED)}/picture/grid.png" in data(out)
    assert "<title>rlgen: a &lt;b&gt;" in text
    assert text.count("</script>") == len(page.SCRIPTS) + 1


def test_the_policy_allows_the_scripts_of_the_page_alone(runs, tmp_path):
    run_with_pictures(runs)
    out = tmp_path / "report.html"
    inlining.write([runs / "one"], out)
    text = out.read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy).split(";"))
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert "connect-src" not in rules
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]
        assert rules[rule].split() == [f"'sha256-{digest}'" for digest in digests]
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", re.sub("<script.*?</script>", "", text, flags=re.DOTALL))


def test_files_of_the_page_can_stand_within_an_element():
    assert document.inlined("t", "{}", "f")


def test_runs_of_one_name_have_two_names_in_a_report(runs, tmp_path):
    one, two = run_with_pictures(runs), run_with_pictures(runs / "other")
    out = tmp_path / "report.html"
    inlining.write([one, two, one], out)
    found = data(out)
    assert [run["name"] for run in found["/api/runs"]["runs"]] == ["one", "one (2)"]
    assert found["/api/runs/one%20(2)"]["name"] == "one (2)"


def test_a_report_stays_below_its_limit_and_names_what_is_left_out(runs, tmp_path):
    run_with_pictures(runs, side=250, times=range(0, 400, 10))
    (runs / "one" / "evolution.gif").write_bytes(noise(400, suffix="GIF"))
    out = tmp_path / "report.html"
    full = sum(path.stat().st_size for path in runs.rglob("*.png"))
    assert full > 5_000_000
    notes = inlining.write([runs / "one"], out, 1_200_000)
    assert out.stat().st_size <= 1_200_000
    assert notes[0] == "films"
    assert any("pictures between" in note for note in notes)
    assert all(note in html.unescape(out.read_text()) for note in notes)
    times = data(out)["/api/runs/one"]["pictures"]["samples"]
    assert (times[0], times[-1]) == (0, 390)
    assert 2 <= len(times) < 40
    assert all(f"/api/runs/one/picture/samples/{time}" in data(out) for time in times)


def test_long_logs_are_thinned(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(inlining, "LOG_BYTES", 30_000)
    run_with_pictures(runs, rows=5000)
    out = tmp_path / "report.html"
    assert inlining.write([runs / "one"], out) == ["points of the longest curves, of which the extremes are kept"]
    rows = data(out)["/api/runs/one/log"]["rows"]
    assert rows[0] == {"time": 0, "loss": 1.0}
    assert rows[-1]["time"] == 49_990
    assert len(json.dumps(rows)) < 40_000


def picture(series, time, content):
    return Picture(f"/api/runs/{series}/{time}", series, time, lambda: content, len(content), ".png")


def test_pictures_that_fit_are_as_they_are():
    content = noise(30)
    found, notes = fit([picture("a", 1, content)], 100_000)
    assert (base64.b64decode(next(iter(found.values())).partition(",")[2]), notes) == (content, [])


@pytest.mark.parametrize("limit", [0, 1000, 30_000, 100_000, 400_000])
def test_pictures_take_at_most_the_limit(limit):
    pictures = [picture(f"r{run} samples", time, noise(120, time)) for run in range(3) for time in range(8)]
    found, notes = fit(pictures, limit)
    assert sum(map(len, found.values())) <= limit
    assert notes
    for url in found.values():
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
            image.load()


def test_thinning_keeps_the_first_and_the_last_of_every_series():
    pictures = [picture(series, time, b"") for series in "ab" for time in range(50)]
    for times in (2, 5, 12):
        kept = thinned(pictures, times)
        for series in "ab":
            found = [p.time for p in kept if p.series == series]
            assert (found[0], found[-1], len(found)) == (0, 49, times)


def test_of_many_runs_each_keeps_a_picture(monkeypatch):
    monkeypatch.setattr(shrinking, "MOST", 10)
    pictures = [picture(f"r{run} p{i}", None, noise(40, i)) for run in range(5) for i in range(4)]
    found, _ = fit(pictures, 60_000)
    assert {address.split("/")[3].split(" ")[0] for address in found} == {f"r{run}" for run in range(5)}


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", noise(40)[:2000], b"<svg onload=alert(1)>"])
def test_a_damaged_picture_is_left_out_where_pictures_are_compressed(content):
    pictures = [picture("a", 0, content), *(picture("b", t, noise(100, t)) for t in range(5))]
    found, _ = fit(pictures, 60_000)
    assert "/api/runs/a/0" not in found
    assert found
