"""Films as files: GIF by Pillow, MP4 by ffmpeg where it is installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rlgen.core.errors import UserError
from rlgen.core.files import replacing
from rlgen.report.pictures import gif
from rlgen.report.saved_grids import Pixels

SUFFIXES = (".gif", ".mp4")


def write(frames: Iterable[Pixels], path: Path, fps: float) -> None:
    """Write frames (H, W, 3) of one size at `fps` as a GIF or an MP4, by the ending of `path`.

    Raises UserError for an MP4 without ffmpeg.
    """
    if path.suffix.lower() == ".mp4":
        mp4(frames, path, fps)
    else:
        gif(frames, path, fps=fps)


def ffmpeg() -> str:
    """The path of ffmpeg: of the system, or of the package imageio-ffmpeg. Raises UserError without one."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise UserError(
            "an MP4 needs ffmpeg: install it, or `pip install imageio-ffmpeg`, or name the file .gif"
        ) from None


def mp4(frames: Iterable[Pixels], path: Path, fps: float) -> None:
    """Write frames (H, W, 3) as H.264, padded to even sides, which its usual pixel format needs."""
    program, process = ffmpeg(), None
    with replacing(path) as partial, tempfile.TemporaryFile() as messages:
        try:
            for frame in frames:
                if process is None:
                    size = f"{frame.shape[1]}x{frame.shape[0]}"
                    words = [program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size]
                    words += ["-r", f"{fps:g}", "-i", "-", "-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"]
                    words += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]
                    process = subprocess.Popen([*words, str(partial)], stdin=subprocess.PIPE, stderr=messages)
                assert process.stdin is not None
                process.stdin.write(frame.tobytes())
        except BrokenPipeError:
            pass  # ffmpeg ended: its message follows
        except BaseException:
            if process is not None:
                process.kill()
            raise
        finally:
            if process is not None and process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()
                process.wait()
        if process is None:
            raise ValueError("a film of no frames")
        if process.returncode:
            messages.seek(0)
            lines = messages.read().decode(errors="replace").strip().splitlines() or ["no message"]
            raise UserError(f"ffmpeg could not write {path}: {lines[-1]}")
