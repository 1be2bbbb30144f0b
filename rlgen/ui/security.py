"""Who may use the page: requests to a loopback address, with the cookie that the printed address gives a browser.

Loopback alone does not stop DNS rebinding (another host name that leads here), other users of the machine, or pages of
other sites: these need the checks of host, cookie and origin.
"""

import secrets
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from urllib.parse import parse_qs

HOSTS = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {  # of every answer
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ONCE = ("Host", "Cookie", "Origin", "Content-Length", "Content-Type")  # headers that may not come twice


class Refused(Exception):
    """A request that is not answered, with its status and a reason in one line."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """The checks of one server: its port, the token of its address and the secret in its cookie."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.token = secrets.token_urlsafe(24)
        self.secret = secrets.token_urlsafe(24)
        self.cookie_name = f"rlgen-{port}"  # cookies do not distinguish ports

    @property
    def address(self) -> str:
        """The address with the token, for a person to open."""
        return f"http://{HOSTS[0]}:{self.port}/?token={self.token}"

    @property
    def cookie(self) -> str:
        """The value of the header that sets the cookie."""
        return f"{self.cookie_name}={self.secret}; HttpOnly; SameSite=Strict; Path=/"

    def check_host(self, headers: Message) -> None:
        """Raise Refused unless the request is addressed to this server by a loopback name, for any method."""
        for name in ONCE:
            if len(headers.get_all(name, [])) > 1:
                raise Refused(HTTPStatus.BAD_REQUEST, f"the header {name} comes twice")
        if "Transfer-Encoding" in headers:
            raise Refused(HTTPStatus.BAD_REQUEST, "bodies are sent with Content-Length alone")
        hosts = {f"{host}:{self.port}" for host in HOSTS} | (set(HOSTS) if self.port == 80 else set())
        if str(headers.get("Host", "")).lower() not in hosts:
            raise Refused(HTTPStatus.FORBIDDEN, f"this server answers to {HOSTS[0]}:{self.port} alone")

    def opens(self, query: str) -> bool:
        """Whether a query holds the token."""
        given = parse_qs(query, max_num_fields=8).get("token", [""])[0]
        return secrets.compare_digest(given.encode(), self.token.encode())

    def check_cookie(self, headers: Message) -> None:
        """Raise Refused for a browser that did not open the printed address, and for a page of another origin."""
        values = [part.strip().partition("=") for part in str(headers.get("Cookie", "")).split(";")]
        given = next((value for name, _, value in values if name == self.cookie_name), "")
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self.secret.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "open the address that `rlgen ui` printed: it ends in the token")
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refused(HTTPStatus.FORBIDDEN, "pages of other origins cannot use this server")

    def check_origin(self, headers: Message) -> None:
        """Raise Refused unless a page of this server sent the request, as JSON."""
        if str(headers.get("Origin", "")).lower() != f"http://{headers.get('Host', '')}".lower():
            raise Refused(HTTPStatus.FORBIDDEN, "only the page of this server may send this")
        if str(headers.get("Content-Type", "")).split(";")[0].strip().lower() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
