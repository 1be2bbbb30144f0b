"""The server of `rlgen ui`: the standard library's, on a loopback address, for reading alone.

Runs are never changed by it. Interactive panels are computed by another process, see `rlgen.ui.live`.
"""

import errno
import os
import sys
import threading
from contextlib import closing, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from rlgen import __version__
from rlgen.core.errors import UserError
from rlgen.ui import document
from rlgen.ui.api import Api, dump, parts
from rlgen.ui.live import Live
from rlgen.ui.reading import Missing, open_file
from rlgen.ui.security import HEADERS, HOSTS, Guard, Refused

PORT = 8765  # by default
THREADS = 64  # connections at a time
TIMEOUT = 15.0  # seconds without a byte until a connection ends
BODY = 8 * 2**20  # bytes of a request, at most: an uploaded picture
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
    ".gif": "image/gif",
}


class Server(ThreadingHTTPServer):
    """Serves the page for the runs of one folder until `shutdown`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, port: int = PORT, live: Live | None = None) -> None:
        self.api = Api(root)
        self.live = live or Live()
        self._room = threading.BoundedSemaphore(THREADS)
        try:
            super().__init__((HOSTS[0], port), Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            reason = "is in use" if error.errno == errno.EADDRINUSE else "is not yours to use"
            raise UserError(
                f"port {port} {reason}: choose another with --port N, or a free one with --port 0"
            ) from None
        self.guard = Guard(self.server_address[1])

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return self.guard.address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; refuse it where there are too many."""
        if not self._room.acquire(blocking=False):
            with suppress(OSError):
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, then make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line for a fault; nothing for a connection that was closed."""
        error = sys.exception() if sys.version_info >= (3, 11) else sys.exc_info()[1]
        if not isinstance(error, OSError):
            print(f"error: {type(error).__name__}: {error}", file=sys.stderr)

    def server_close(self) -> None:
        """Free the port and end the process of the interactive panels."""
        super().server_close()
        self.live.close()


class Handler(BaseHTTPRequestHandler):
    """One connection. Every request is checked before it is dispatched, whatever its method."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT
    wbufsize = 2**16
    disable_nagle_algorithm = True

    def parse_request(self) -> bool:
        """Whether the request is well-formed, addressed to this server, and its path plain."""
        if not super().parse_request():
            return False
        try:
            if not self.path.startswith("/") or not self.path.isascii() or not self.path.isprintable():
                raise Refused(HTTPStatus.BAD_REQUEST, "the path of the request is not valid")
            self.server.guard.check_host(self.headers)
            if self.command not in ("GET", "HEAD", "POST"):
                raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "there is GET, and POST for interactive panels")
            length = self.headers.get("Content-Length", "0")
            if not (length.isascii() and length.isdecimal() and len(length) < 12):
                raise Refused(HTTPStatus.BAD_REQUEST, "the length of the body is not valid")
            if int(length) > (BODY if self.command == "POST" else 0):
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large")
        except Refused as refused:
            self.send_error(refused.status, str(refused))
            return False
        return True

    def do_GET(self) -> None:
        """Answer a request for the page, a file of it, a picture or JSON."""
        self._answer(self._get)

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a request of an interactive panel."""
        self._answer(self._post)

    def _answer(self, method: Any) -> None:
        """The answer of `method`, its errors as one line of JSON."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))) if self.command == "POST" else b""
        try:
            method(body)
        except Refused as refused:
            self._json({"error": str(refused)}, refused.status)
        except Missing as error:
            self._json({"error": str(error)}, HTTPStatus.NOT_FOUND)
        except (UserError, ValueError) as error:
            self._json({"error": str(error)}, getattr(error, "status", HTTPStatus.BAD_REQUEST))
        except ConnectionError:
            self.close_connection = True
        except Exception as error:  # a fault of this program
            print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
            self._json({"error": "a fault of rlgen ui; its terminal has the line"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _get(self, body: bytes) -> None:
        guard, address = self.server.guard, urlsplit(self.path)
        if address.path == "/" and address.query and guard.opens(address.query):
            self._enter()
            return
        guard.check_cookie(self.headers)
        if address.path == "/":
            self._send(document.linked().encode(), "text/html; charset=utf-8")
        elif address.path.startswith("/page/"):
            self._static(parts(self.path)[1:])
        elif (picture := self.server.api.picture(address.path)) is not None:
            self._file(open_file(self.server.api.runs.root, picture), TYPES[picture.suffix])
        else:
            self._json(self.server.api.json(address.path, address.query))

    def _post(self, body: bytes) -> None:
        guard = self.server.guard
        guard.check_cookie(self.headers)
        guard.check_origin(self.headers)
        match parts(self.path):
            case ["api", "runs", name, "live", action]:
                info, directory = self.server.api.runs.info(name), self.server.api.runs.directory(name)
                self._json(self.server.live.answer(directory, info, action, body))
            case _:
                raise Missing("there is nothing at this address")

    def _enter(self) -> None:
        """Exchange the token for the cookie. A link on another site is no reason to send it: hence the second page."""
        elsewhere = self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        text = b'<!DOCTYPE html><meta http-equiv="refresh" content="0; url=/">' if elsewhere else b""
        self.send_response(HTTPStatus.OK if elsewhere else HTTPStatus.SEE_OTHER)
        self.send_header("Set-Cookie", self.server.guard.cookie)
        self.send_header("Location", "/")
        self._headers("text/html; charset=utf-8", len(text))
        self.wfile.write(b"" if self.command == "HEAD" else text)

    def _static(self, names: list[str]) -> None:
        """A script or stylesheet of the page, one of those listed."""
        path = document.file("/".join(names))
        if path is None or path.suffix not in TYPES:
            raise Missing("the page has no such file")
        self._file(path.open("rb"), TYPES[path.suffix])

    def _file(self, file: BinaryIO, kind: str) -> None:
        with closing(file):
            self.send_response(HTTPStatus.OK)
            length = os.fstat(file.fileno()).st_size
            self._headers(kind, length)
            if self.command != "HEAD":
                self._copy(file, length)

    def _copy(self, file: BinaryIO, length: int) -> None:
        """So many bytes of a file; a file that became shorter meanwhile ends the connection."""
        start = self.wfile
        while length > 0 and (part := file.read(min(length, 2**16))):
            start.write(part)
            length -= len(part)
        self.close_connection = self.close_connection or length > 0

    def _json(self, value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(dump(value), "application/json", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self._headers(kind, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _headers(self, kind: str, length: int) -> None:
        for name, value in {**HEADERS, "Cache-Control": "no-store", "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """One line of JSON, and the end of the connection: what follows a bad request may belong to it."""
        with suppress(OSError):
            self.send_response(code)
            self.send_header("Connection", "close")
            text = dump({"error": message or HTTPStatus(code).phrase})
            self._headers("application/json", len(text))
            if self.command != "HEAD":
                self.wfile.write(text)

    def version_string(self) -> str:
        """The header Server."""
        return f"rlgen/{__version__}"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is for the address and for faults."""
