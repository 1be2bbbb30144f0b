"""A corpus of attacks on a run folder: each replaces or adds something in a copy of an honest run."""

import hashlib
import json
import os
import random
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECRET = "the secret of the neighbour"
Apply = Callable[[Path, Path], None]  # of the folder of a run, and of a folder outside


class Raw(str):
    """JSON as it stands, which `json.dumps` would not write."""


DEEP = Raw("[" * 5_000 + "]" * 5_000)
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 10**7, 2**63, 10**99, -(10**99), Raw("9" * 5_000), Raw("NaN"), Raw("-Infinity"),
    Raw("1e999"), -1e308, 1e308, 1e-320, 0.5, "", "x", "latest", "../../outside", "/dev/zero", "a\nb",
    "\x1b[2J\x1b]0;t\x07", "\u202e", "\ud800", "x" * 100_000, "evil_module:X", "folder:/proc", "nan", "inf",
    [], {}, [[]], [1, "x"], [None], {"a": 1}, {"$tensor": "x"}, {"$tensor": []}, {"$tuple": 1}, {"$pairs": [1]},
    {"$pairs": [[[], 1]]}, DEEP, [0] * 100_000,
)  # fmt: skip
LINES: tuple[str, ...] = (
    "[1, 2]", "null", "5", '"x"', "{}", '{"time": null, "loss": 1}', '{"time": NaN, "loss": 1}', '{"time": "x"}',
    '{"time": [1], "loss": 1}', '{"time": -1, "loss": -1e308}', '{"time": 1e999, "loss": 1}', '{"loss": 1}',
    '{"time": 5, "loss": [1, [2]]}', '{"time": 5, "loss": {"a": 1}}', '{"time": 5, "loss": "x", "return": [1, "x"]}',
    '{"time": 1, "loss": -1e308, "return": 1e308}', '{"time": 9999999999999999999999, "loss": 1}',
    '{"time": 1, "loss": ' + "9" * 5_000 + "}", '{"time": 1, "loss": ' + "[" * 100_000 + "}", "\x00\x00\x00",
    '{"time": 7, "\\u001b[2J": 1, "a\\nb": 2}', '{"time": 7, "' + "x" * 100_000 + '": 2}',
    '{"time": 7, "eval_return": [1]}',
    '{"time": 8, "loss": [1, 2, 3], "eval_return": [[1, 2], [3]]}', '{"time": true, "loss": false}', "{" * 1_000,
    '{"time": 3, "seed": "x", "return": []}', '{"time": 3, "seed": 1e300, "return": 1}', "\udcff\udcfe",
    "x" * 5_000_000,
)  # fmt: skip
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(executed) (w) file closefile\nshowpage\n"
BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0) + b"\0\0\0\0"
PICTURES = {
    "postscript": POSTSCRIPT,
    "bomb": BOMB,
    "empty": b"",
    "half": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "gif": b"GIF89a",
}


def attacks(run: Path, draw: random.Random) -> Iterator[tuple[str, Apply]]:
    """Every attack on the honest run, by name; of the many values of the many keys a random choice."""
    names = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    names += [
        "labels.json",
        "log.txt",
        "report.json",
        "quality.jsonl",
        "episodes.jsonl",
        "curves.png",
        "samples/000000000.png",
    ]
    for name in dict.fromkeys(names):
        for kind, place in PLACES.items():
            yield f"{kind} {name}", _placed(name, place)
    folders = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_dir())
    for name in dict.fromkeys([*folders, "samples", "explain", "tensorboard", "portraits", "checkpoints"]):
        for kind, place in FOLDERS.items():
            yield f"{kind} {name}/", _placed(name, place)
    for file in [name for name in names if name.endswith(".json") and (run / name).is_file()]:
        try:
            paths = list(_paths(json.loads((run / file).read_text())))
        except ValueError:
            continue
        for path in draw.sample(paths, min(len(paths), 60)):
            value = draw.choice(VALUES)
            yield f"{file} {'.'.join(map(str, path))} = {_short(value)}", _json(file, path, value)
    for key in sorted(json.loads((run / "run.json").read_text())["config"]):
        for number in (10**4, 10**6, 10**9, 10**15):
            yield f"setting {key} = {number}", _json("run.json", ("config", key), number)
    for log in ("metrics.jsonl", "timing.jsonl", "episodes.jsonl", "quality.jsonl"):
        for number, line in enumerate(LINES):
            yield f"line {number} {log}", _line(log, line)
    for name, content in PICTURES.items():
        yield f"picture {name}", _content("samples/000000000.png", content)
        yield f"curves {name}", _content("curves.png", content)
    for file in [name for name in names if name.endswith(".safetensors")]:
        for name, header in HEADERS.items():
            yield f"safetensors {name} {file}", _content(file, header)
    for name in (".partial-1-x", ".partial-99-run.json", "20240101120000.png", "photos"):
        yield f"link {name}", _placed(name, FOLDERS["link"])


def _link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "secret.json")


def _socket(path: Path, outside: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _huge(path: Path, outside: Path) -> None:
    with path.open("wb") as file:
        file.truncate(8 << 30)  # a hole, which takes no disk


PLACES: dict[str, Apply] = {
    "pipe": lambda path, outside: os.mkfifo(path),
    "link": _link,
    "device": lambda path, outside: path.symlink_to("/dev/zero"),
    "loop": lambda path, outside: path.symlink_to(path.name),
    "folder": lambda path, outside: path.mkdir(),
    "socket": _socket,
    "empty": lambda path, outside: path.touch(),
    "zeros": lambda path, outside: path.write_bytes(bytes(1_000)) and None,
    "hole": _huge,
    "deep": lambda path, outside: path.write_text("[" * 1_000_000) and None,
    "values": lambda path, outside: path.write_text("[" + "{}," * 1_300_000 + "{}]") and None,
    "digits": lambda path, outside: path.write_text('{"a": ' + "9" * 5_000 + "}") and None,
    "list": lambda path, outside: path.write_text("[]") and None,
    "unreadable": lambda path, outside: path.write_bytes(b"\xff\xfe\x00{") and None,
}
FOLDERS: dict[str, Apply] = {
    "link": lambda path, outside: path.symlink_to(outside),
    "loop": lambda path, outside: path.symlink_to("."),
    "file": lambda path, outside: path.write_text("x") and None,
    "pipe": lambda path, outside: os.mkfifo(path),
}


def _header(text: str, data: bytes = bytes(64)) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode() + data


TENSOR = '{"dtype":"F32","shape":[16],"data_offsets":[0,64]}'
EMPTY = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
HEADERS = {
    "length": struct.pack("<Q", 2**63) + b"{}",
    "size": struct.pack("<Q", 10**8) + b"{}",
    "empty": _header("{}", b""),
    "overlap": _header(f'{{"a":{TENSOR},"b":{TENSOR}}}'),
    "shape": _header('{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,64]}}'),
    "type": _header('{"a":{"dtype":"PICKLE","shape":[16],"data_offsets":[0,64]}}'),
    "negative": _header('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,64]}}'),
    "many": _header("{" + ",".join(f'"{i}":{EMPTY}' for i in range(200_000)) + "}", b""),
    "deep": _header('{"a":' * 50_000),
    "other": _header('{"x":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}'),
    "pickle": b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.",
}  # fmt: skip


def _placed(name: str, place: Apply) -> Apply:
    def apply(run: Path, outside: Path) -> None:
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(path)
        place(path, outside)

    return apply


def _content(name: str, content: bytes) -> Apply:
    def apply(run: Path, outside: Path) -> None:
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        reseal(path)

    return apply


def _line(log: str, line: str) -> Apply:
    def apply(run: Path, outside: Path) -> None:
        path = run / log
        before = path.read_text().splitlines(keepends=True) if path.exists() else []
        middle = len(before) // 2
        text = "".join([*before[:middle], line + "\n", *before[middle:], line + "\n"])
        path.write_bytes(text.encode("utf-8", "surrogateescape"))

    return apply


def _json(name: str, path: tuple[str | int, ...], value: Any) -> Apply:
    def apply(run: Path, outside: Path) -> None:
        content = json.loads((run / name).read_text())
        content.pop("sha256", None)  # a description without a seal is one of an earlier version
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = "$here" if isinstance(value, Raw) else value
        text = json.dumps(content)
        (run / name).write_text(text.replace('"$here"', value) if isinstance(value, Raw) else text)
        reseal(run / name)

    return apply


def reseal(path: Path) -> None:
    """Adapt the manifest of a checkpoint to a file that was replaced, as the author of a foreign run could."""
    manifest = path.parent / "manifest.json"
    if path == manifest or not manifest.is_file():
        return
    content = json.loads(manifest.read_text())
    known = content["files"].get(path.name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if isinstance(known, dict):
        known |= {"size": path.stat().st_size, "sha256": digest}
    elif isinstance(known, str):
        content["files"][path.name] = digest
    manifest.write_bytes(json.dumps(content, indent=1).encode())


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _paths(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value[:3]):
            yield from _paths(part, (*path, number))


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, Raw) else repr(value)
    return text if len(text) < 30 else f"{text[:20]}... of {len(text):,}"
