import gzip
import hashlib
import http.server
import os
import struct
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from rlgen.core.errors import DataError, StorageError
from rlgen.data import idx

SHAPE = (5, 4, 3)
VALUES = np.arange(60, dtype=np.uint8).reshape(SHAPE)
CONTENT = struct.pack(">4B3I", 0, 0, 8, 3, *SHAPE) + VALUES.tobytes()
FILE = idx.File("images-idx3-ubyte", SHAPE, hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """A folder without data and a cache without files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RLGEN_DATA", raising=False)
    monkeypatch.delenv("RLGEN_OFFLINE", raising=False)
    monkeypatch.setattr(idx, "cache", lambda: tmp_path / "cache")


@pytest.fixture
def server():
    """An HTTP server of the pages in `server.pages`, with the list of requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            time.sleep(self.server.delay)
            page = self.server.pages.get(self.path)
            self.send_response(200 if page else 404)
            self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.pages, server.requests, server.delay = {}, [], 0.0
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def source(*mirrors):
    return idx.Source("TINY", mirrors, {})


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_read(tmp_path, pack):
    assert np.array_equal(idx.read(write(tmp_path / "file", pack(CONTENT)), FILE), VALUES)


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>not found</html>", "starts with"),
        (b"", "starts with"),
        (CONTENT[:10], "has the shape"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 6, 4, 3) + CONTENT[16:], r"has the shape \(6, 4, 3\)"),
        (CONTENT[:-1], "ends after 75 of 76"),
        (CONTENT + b"\0", "has more than 76 bytes"),
        (flip(CONTENT, 40), "sha256"),
        (gzip.compress(CONTENT, mtime=0)[:-9], "cannot be read"),
        (flip(gzip.compress(CONTENT, mtime=0), -6), "cannot be read"),
        (flip(gzip.compress(CONTENT, mtime=0), 12), "cannot be read"),
        (gzip.compress(CONTENT, mtime=0) + gzip.compress(b"more", mtime=0), "goes on after the end"),
        (gzip.compress(CONTENT, mtime=0) + b"more", "goes on after the end"),
        (gzip.compress(CONTENT + b"more", mtime=0), "has more than 76 bytes"),
        (CONTENT + bytes(1 + (1 << 18)), "has 262,221 bytes, more than .* not the true images"),
        (struct.pack(">4B3I", 0, 0, 8, 3, *3 * (2**32 - 1,)), "has the shape"),
        (struct.pack(">4B", 0, 0, 8, 255), "starts with 000008ff"),
    ],
)
def test_a_wrong_file_is_named_and_refused(tmp_path, content, reason):
    with pytest.raises(DataError, match=f"bad-file.*{reason}") as error:
        idx.read(write(tmp_path / "bad-file", content), FILE)
    assert error.value.code == 5
    assert "\n" not in str(error.value)


def test_a_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path):
    path = write(tmp_path / "bomb.gz", gzip.compress(CONTENT + bytes(50_000_000), compresslevel=1, mtime=0))
    tracemalloc.start()
    with pytest.raises(DataError, match="has more than 76 bytes"):
        idx.read(path, FILE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08\x08" + bytes(6) + b"name" * 10_000, gzip.compress(b"") * 3_000])
def test_a_gzip_file_of_a_long_name_or_of_many_empty_parts_is_refused_at_once(tmp_path, content):
    started = time.perf_counter()
    with pytest.raises(DataError, match="cannot be read"):
        idx.read(write(tmp_path / "file.gz", content), FILE)
    assert time.perf_counter() - started < 1


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "file")
    with pytest.raises(DataError, match="no regular file"):
        idx.read(tmp_path / "file", FILE)
    folder = tmp_path / "data/TINY/raw"
    folder.mkdir(parents=True)
    os.mkfifo(folder / FILE.name)
    assert idx.find(source(), FILE) is None


def test_a_link_to_a_file_is_read(tmp_path):
    write(tmp_path / "elsewhere", CONTENT)
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    assert np.array_equal(idx.read(tmp_path / "file", FILE), VALUES)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(DataError, match="cannot be read"):
        idx.read(tmp_path / "circle", FILE)


def test_places_are_searched_in_order(tmp_path, monkeypatch):
    cached = write(tmp_path / "cache/TINY/raw/images-idx3-ubyte.gz", b"")
    assert idx.find(source(), FILE) == cached
    here = write(tmp_path / "data/TINY/raw/images-idx3-ubyte.gz", b"")
    assert idx.find(source(), FILE).samefile(here)
    monkeypatch.setenv("RLGEN_DATA", str(tmp_path / "elsewhere"))
    assert idx.find(source(), FILE).samefile(here)
    elsewhere = write(tmp_path / "elsewhere/TINY/raw/images-idx3-ubyte", b"")
    assert idx.find(source(), FILE) == elsewhere
    given = write(tmp_path / "asked/images-idx3-ubyte", b"")
    assert idx.find(source(), FILE, tmp_path / "asked") == given


def test_a_given_folder_is_the_only_one_searched(tmp_path, server):
    write(tmp_path / "data/TINY/raw/images-idx3-ubyte", CONTENT)
    with pytest.raises(DataError, match="asked holds no TINY/raw/images-idx3-ubyte"):
        idx.locate(source(f"{server.url}/"), FILE, tmp_path / "asked")
    assert not server.requests


def test_download_tries_the_next_mirror_and_happens_once(tmp_path, server):
    server.pages = {
        "/portal/images-idx3-ubyte.gz": b"<html>please log in</html>",
        "/good/images-idx3-ubyte.gz": gzip.compress(CONTENT, mtime=0),
    }
    mirrors = source(*(f"{server.url}/{name}/" for name in ("gone", "portal", "good", "unused")))
    path = idx.locate(mirrors, FILE)
    assert np.array_equal(idx.read(path, FILE), VALUES)
    assert [request.split("/")[1] for request in server.requests] == ["gone", "portal", "good"]
    assert idx.locate(mirrors, FILE) == path
    assert len(server.requests) == 3
    assert {entry.suffix for entry in path.parent.iterdir()} <= {".gz", ".lock"}


def test_a_download_onto_a_full_disk_leaves_nothing(tmp_path, server):
    resource = pytest.importorskip("resource")
    server.pages = {"/images-idx3-ubyte.gz": gzip.compress(CONTENT, mtime=0)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot store .*images-idx3-ubyte\.gz \(File too large\): make room"):
            idx.locate(source(f"{server.url}/", f"{server.url}/unused/"), FILE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(server.requests) == 1
    assert {entry.suffix for entry in (tmp_path / "cache/TINY/raw").iterdir()} <= {".lock"}


def test_a_download_with_wrong_content_is_not_kept(tmp_path, server):
    server.pages = {"/images-idx3-ubyte.gz": gzip.compress(flip(CONTENT, 40), mtime=0)}
    with pytest.raises(idx.Missing, match="sha256"):
        idx.locate(source(f"{server.url}/"), FILE)
    assert idx.find(source(), FILE) is None
    assert not list(tmp_path.rglob("*.part"))


def test_a_server_without_response_is_skipped(server, monkeypatch):
    server.delay = 1.0
    monkeypatch.setattr(idx, "TIMEOUT", (0.1, 0.1))
    with pytest.raises(idx.Missing, match="no response from"):
        idx.locate(source(f"{server.url}/"), FILE)


def test_no_server_and_no_permission_have_messages_of_their_own(tmp_path):
    with pytest.raises(idx.Missing, match="no connection to http://127"):
        idx.locate(source("http://127.0.0.1:1/"), FILE)
    (tmp_path / "cache/TINY/raw/images-idx3-ubyte.lock").unlink(missing_ok=True)
    (tmp_path / "cache/TINY/raw").rmdir()
    (tmp_path / "cache/TINY/raw").touch()
    with pytest.raises(idx.Missing, match="cannot be written"):
        idx.locate(source("http://127.0.0.1:1/"), FILE)


def test_offline_sends_no_request(server, monkeypatch):
    monkeypatch.setenv("RLGEN_OFFLINE", "1")
    with pytest.raises(idx.Missing, match="RLGEN_OFFLINE"):
        idx.locate(source(f"{server.url}/"), FILE)
    assert not server.requests


def test_two_processes_download_once(tmp_path, server):
    server.pages = {"/images-idx3-ubyte.gz": gzip.compress(CONTENT, mtime=0)}
    server.delay = 0.5  # long enough for the second to find the lock taken
    program = (
        "import pathlib, sys; from rlgen.data import idx; idx.cache = lambda: pathlib.Path(sys.argv[1])\n"
        f"idx.locate(idx.Source('TINY', (sys.argv[2],), {{}}), idx.File({FILE.name!r}, {SHAPE}, {FILE.sha256!r}))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), f"{server.url}/"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    both = [subprocess.Popen(command, env=environment) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(server.requests) == 1
