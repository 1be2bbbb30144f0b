"""Films as files."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from rlgen.core.errors import UserError
from rlgen.report import video

FAKE = """#!{python}
import pathlib, sys
content = sys.stdin.buffer.read()
if {fails}:
    sys.stderr.write("first\\nno such codec\\n")
    sys.exit(1)
pathlib.Path(sys.argv[-1]).write_text(f"{{len(content)}} {{' '.join(sys.argv[1:-1])}}")
"""


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """An ffmpeg that writes down what it receives, or fails."""

    def install(fails=False):
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir()
        program.write_text(FAKE.format(python=sys.executable, fails=fails))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return install


def frames(count=3):
    return (np.full((10, 20, 3), 40 * i, np.uint8) for i in range(count))


def test_the_ending_chooses_the_format(tmp_path, ffmpeg):
    ffmpeg()
    video.write(frames(), tmp_path / "a.gif", 10)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.format, gif.n_frames, gif.size) == ("GIF", 3, (20, 10))
    video.write(frames(), tmp_path / "a.mp4", 12.5)
    size, _, words = (tmp_path / "a.mp4").read_text().partition(" ")
    assert int(size) == 3 * 10 * 20 * 3
    assert "-s 20x10 -r 12.5" in words
    assert list(tmp_path.glob("*.mp4")) == [tmp_path / "a.mp4"]


def test_a_failure_of_ffmpeg_is_one_line(tmp_path, ffmpeg):
    ffmpeg(fails=True)
    with pytest.raises(UserError, match=r"could not write .*a.mp4: no such codec"):
        video.write(frames(), tmp_path / "a.mp4", 10)
    assert not list(tmp_path.glob("*.mp4"))


def test_without_ffmpeg_there_is_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"name the file .gif"):
        video.write(frames(), tmp_path / "a.mp4", 10)


def test_a_film_of_no_frames_is_refused(tmp_path, ffmpeg):
    ffmpeg()
    with pytest.raises(ValueError, match="no frames"):
        video.write(iter([]), tmp_path / "a.mp4", 10)
