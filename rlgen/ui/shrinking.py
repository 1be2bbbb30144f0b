"""Pictures that fit into a number of bytes: fewer times first, then compression, then fewer pixels."""

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

TYPES = {".png": "image/png", ".gif": "image/gif"}
MOST = 160  # pictures that are compressed: about three seconds on two cores
SHARE = 0.7  # bytes of a compressed picture of the same width in a report, of those of its file
PIXELS = 25_000_000  # of a picture that is opened
LEVELS = ((24, 1600, 80), (12, 1100, 75), (8, 800, 65), (4, 550, 55), (2, 350, 45))  # times, longest side, quality


@dataclass(frozen=True)
class Picture:
    """A picture of a run."""

    address: str  # on the page
    series: str  # what is shown at several times
    time: int | None  # in steps or images; None for a single picture
    read: Callable[[], bytes]
    size: int  # bytes of the file
    suffix: str


def fit(pictures: Sequence[Picture], limit: int) -> tuple[dict[str, str], list[str]]:
    """Data URLs by address of as many pictures as take at most `limit` bytes together, and what was left out in words.

    As they are, if they fit. Otherwise films are left out, series are thinned in time, and the remaining pictures are
    compressed (WebP) and scaled down, both as little as possible.
    """
    if sum(_encoded(picture.size, picture.address) for picture in pictures) <= limit:
        return _as_they_are(pictures), []
    still = [picture for picture in pictures if picture.suffix != ".gif"]
    notes = ["films"] if len(still) < len(pictures) else []
    if notes and sum(_encoded(picture.size, picture.address) for picture in still) <= limit:
        return _as_they_are(still), notes
    before = Counter(picture.series for picture in still)
    found: dict[str, str] = {}
    likely = [_expected(level, still) <= limit for level in LEVELS]
    level = likely.index(True) if any(likely) else len(LEVELS) - 1
    while level < len(LEVELS):
        times, side, quality = LEVELS[level]
        found = compressed(_chosen(still, times), side, quality)
        bytes_ = _total(found)
        if bytes_ <= limit:
            break
        area = side * side * times * limit / bytes_  # the size grows at most as the number of pixels does
        level = next((i for i, (t, s, _) in enumerate(LEVELS) if i > level and s * s * t <= 2 * area), len(LEVELS))
    while _total(found) > limit:
        del found[max(found, key=lambda address: len(found[address]))]
    after = Counter(picture.series for picture in still if picture.address in found)
    if any(0 < after[series] < count for series, count in before.items()):
        notes.append(f"pictures between the first and the last of a series, down to {max(after.values(), default=0)}")
    if missing := sum(not after[series] for series in before):
        notes.append(f"{missing} pictures")
    return found, [*notes, f"detail of pictures: they are compressed, at most {side} pixels wide or high"]


def thinned(pictures: Sequence[Picture], times: int) -> list[Picture]:
    """Of each series at most so many pictures, evenly spread, the first and the last among them."""
    series: dict[str, list[Picture]] = {}
    for picture in pictures:
        series.setdefault(picture.series, []).append(picture)
    kept = []
    for members in series.values():
        members = sorted(members, key=lambda picture: picture.time or 0)
        count = min(times, len(members))
        places = {round(i * (len(members) - 1) / max(1, count - 1)) for i in range(count)} | {len(members) - 1}
        kept += [members[i] for i in sorted(places)]
    return kept


def _chosen(pictures: Sequence[Picture], times: int) -> list[Picture]:
    """`thinned`, and at most `MOST` pictures of all runs in turn."""
    kept = thinned(pictures, times)
    if len(kept) <= MOST:
        return kept
    kept = thinned(pictures, max(2, times * MOST // len(kept)))
    runs = [picture.series.partition(" ")[0] for picture in kept]
    turns = [runs[:i].count(run) for i, run in enumerate(runs)]
    return [kept[i] for i in sorted(sorted(range(len(kept)), key=turns.__getitem__)[:MOST])]


def _expected(level: tuple[int, int, int], pictures: Sequence[Picture]) -> float:
    """Bytes that pictures take at a level, by the sizes of typical files."""
    times, side, _ = level
    return SHARE * sum(picture.size for picture in _chosen(pictures, times)) * min(1.0, (side / 1000) ** 2)


def _total(urls: Mapping[str, str]) -> int:
    """Bytes of pictures in the report."""
    return sum(len(url) + len(address) + 6 for address, url in urls.items())


def compressed(pictures: Sequence[Picture], side: int, quality: int) -> dict[str, str]:
    """Data URLs by address: as WebP with at most `side` pixels, or as they are where that is smaller."""
    with ThreadPoolExecutor(2) as pool:
        urls = pool.map(lambda picture: _compress(picture, side, quality), pictures)
        return {picture.address: url for picture, url in zip(pictures, urls, strict=True) if url}


def _compress(picture: Picture, side: int, quality: int) -> str:
    from PIL import Image

    content = picture.read()
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > PIXELS:
                return ""
            shown = image.convert("RGBA" if "transparency" in image.info or image.mode in ("RGBA", "LA") else "RGB")
        if max(shown.size) > side:
            shown.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        file = io.BytesIO()
        shown.save(file, "WEBP", quality=quality, method=1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""
    small = file.getvalue()
    if max(shown.size) < side and len(content) <= len(small):
        return _url(content, TYPES[picture.suffix])
    return _url(small, "image/webp")


def _as_they_are(pictures: Sequence[Picture]) -> dict[str, str]:
    return {picture.address: _url(picture.read(), TYPES[picture.suffix]) for picture in pictures}


def _url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _encoded(size: int, address: str) -> int:
    """Bytes in the report of a file of this size."""
    return -(-size // 3) * 4 + len(address) + 40
