"""Who gets an answer: pages of other sites, rebinding host names, other users of the machine and junk get none."""

import re
import socket

import pytest

from rlgen.ui.server import Handler, Server
from tests.ui.conftest import make_run

PATHS = ("/", "/page/style.css", "/api/runs", "/api/runs/one", "/api/runs/one/log", "/favicon.ico")


@pytest.fixture
def one(runs):
    return make_run(runs, "one", [{"time": 1, "loss": 1.0}])


def exchange(client, content, timeout=5):
    """What the server answers to these bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=timeout) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_only_this_machine_reaches_the_server(client):
    assert client.server.server_address[0] == "127.0.0.1"


def test_the_token_is_exchanged_for_a_cookie_that_no_script_and_no_other_site_can_use(client):
    token = client.server.address.split("token=")[1]
    status, headers, _ = client.request(f"/?token={token}", Cookie=None)
    assert (status, headers["Location"]) == (303, "/")
    cookie, *flags = headers["Set-Cookie"].split("; ")
    assert set(flags) == {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert client.request("/", Cookie=cookie)[0] == 200
    assert token not in cookie


def test_a_link_on_another_page_leads_to_a_page_of_this_server_first(client):
    """A browser does not send a strict cookie after a redirect that began elsewhere."""
    token = client.server.address.split("token=")[1]
    status, headers, body = client.request(f"/?token={token}", Cookie=None, Sec_Fetch_Site="cross-site")
    assert status == 200
    assert "Set-Cookie" in headers
    assert b'http-equiv="refresh"' in body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cookie", [None, "rlgen-1=x", "{name}=", "{name}=no", "other={secret}", "{name}\xe9={secret}"])
def test_without_the_cookie_there_is_nothing(client, one, path, cookie):
    name, _, secret = client.cookie.partition("=")
    status, headers, body = client.request(path, Cookie=cookie and cookie.format(name=name, secret=secret))
    assert status == 403
    assert b"rlgen ui" in body
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("query", ["token=", "token=wrong", "token", "Token={token}", "token={token}x", "x={token}"])
def test_a_wrong_token_is_refused(client, query):
    token = client.server.guard.token
    status, headers, _ = client.request("/?" + query.format(token=token), Cookie=None)
    assert (status, "Set-Cookie" in headers) == (403, False)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "JUNK"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.org:{port}", "localhost:1", "", None])
def test_a_rebinding_host_name_is_refused_for_every_method(client, one, method, host):
    status, _, body = client.request("/api/runs", method, Host=host and host.format(port=client.port))
    assert status == 403
    assert b'"one"' not in body


def test_names_of_loopback_are_served(client):
    assert client.request("/api/runs", Host=f"LocalHost:{client.port}")[0] == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "JUNK"])
def test_there_is_only_get_and_post(client, method):
    assert client.request("/api/runs", method)[0] == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Content_Type": "text/plain"},
        {"Content_Type": None},
        {"Cookie": None},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_an_action_is_for_the_own_page_alone(client, one, headers):
    given = {name: value and value.format(port=client.port) for name, value in headers.items()}
    status, answer = client.live("one", "describe", **given)
    assert status in (403, 415)
    assert set(answer) == {"error"}
    assert client.server.live.pid is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_cannot_read_or_embed(client, one, site):
    """A server on another port is of the same site: its pages send the cookie along."""
    assert client.request("/api/runs", Sec_Fetch_Site=site)[0] == 403
    assert client.request("/api/runs", Origin="http://evil.example")[1].get("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("path", [*PATHS, "/api/runs/none", "/page/none.js", "/%ff", "/api/runs/one/log?after=x"])
def test_every_answer_has_the_policy(client, one, path):
    for cookie in (client.cookie, None):
        headers = client.request(path, Cookie=cookie)[1]
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["img-src"] == "'self' data:"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not [name for name in headers if name.lower().startswith("access-control")]


GOOD = "Host: {host}\r\nCookie: {cookie}\r\n"
JUNK = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /api/runs HTTP/9.9\r\n\r\n",
    b"GET /api/runs HTTP/x\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /\xff\x00 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 30\r\n\r\nGET /api/runs HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: a=b\r\nCookie: {cookie}\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: +5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0x5\r\n\r\nhello",
]


@pytest.mark.parametrize("content", JUNK, ids=range(len(JUNK)))
def test_junk_is_answered_by_one_line_and_ends_the_connection(client, one, content, capfd):
    filled = content.replace(b"{host}", client.host.encode()).replace(b"{cookie}", client.cookie.encode())
    answer = exchange(client, filled + b"GET /api/runs HTTP/1.1\r\n" + GOOD.format(**vars(client)).encode() + b"\r\n")
    statuses = re.findall(rb"HTTP/1.1 (\d+)", answer)
    assert len(statuses) <= 1, "what follows a bad request is not another request"
    assert not statuses or statuses[0][:1] == b"4" or statuses[0] in (b"501", b"505")
    assert b"Traceback" not in answer
    assert b'"name"' not in answer
    assert capfd.readouterr().err == ""
    assert client.request("/api/runs")[0] == 200


def test_a_request_of_the_first_http_gets_nothing(client):
    assert b"runs" not in exchange(client, b"GET /api/runs\r\n\r\n")


def test_a_silent_connection_ends(client, monkeypatch):
    monkeypatch.setattr(Handler, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
        assert connection.recv(10) == b""


def test_connections_are_bounded(runs, monkeypatch):
    monkeypatch.setattr("rlgen.ui.server.THREADS", 3)
    with Server(runs, 0) as server:
        import threading

        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        connect = lambda: socket.create_connection(server.server_address, timeout=5)  # noqa: E731
        held = [connect() for _ in range(3)]
        with connect() as another:
            assert another.recv(12) == b"HTTP/1.1 503"
        for connection in held:
            connection.close()
        for _ in range(50):  # the threads end soon
            with connect() as another:
                another.sendall(b"GET / HTTP/1.1\r\n\r\n")
                if another.recv(12) == b"HTTP/1.1 403":
                    break
        else:
            pytest.fail("no connection was freed")
        server.shutdown()
        thread.join()
