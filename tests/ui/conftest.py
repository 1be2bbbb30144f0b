import http.client
import json
import threading

import pytest

from rlgen.ui.server import Server
from tests.ui.browser import browser, chromium, open_page  # noqa: F401  # fixtures


class Client:
    """Requests to a server as a browser sends them that opened the printed address."""

    def __init__(self, server):
        self.server, self.port = server, server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.cookie = f"rlgen-{self.port}={server.guard.secret}"

    def request(self, path, method="GET", body=None, **headers):
        """Status, headers and body; a header that is None is left out."""
        sent = {"Host": self.host, "Cookie": self.cookie}
        if method == "POST":
            sent |= {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, path, **headers):
        """The JSON at a path, which must be there."""
        status, _, body = self.request(path, **headers)
        assert status == 200, body
        return json.loads(body)

    def live(self, run, action, body=None, **headers):
        """Status and JSON of an action."""
        content = json.dumps(body or {}).encode()
        status, _, body = self.request(f"/api/runs/{run}/live/{action}", "POST", content, **headers)
        return status, json.loads(body)


def make_run(runs, name, rows=(), **facts):
    """The folder of a run with a log, `facts` in its run.json."""
    known = {
        "name": name,
        "status": "finished",
        "created": "2026-01-01T00:00:00.000+00:00",
        "kind": "agent",
        "algorithm": "dqn",
        "task": "CartPole",
        "seed": 0,
        "plan": {"budget": 1000},
        "config": {"seeds": 1, "lr": 0.001},
        "changed": {"lr": 0.001},
        "argv": ["rlgen", "dqn", "CartPole"],
    }
    (runs / name).mkdir(parents=True)
    (runs / name / "run.json").write_text(json.dumps({**known, **facts}))
    (runs / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return runs / name


@pytest.fixture
def runs(tmp_path):
    """A folder of runs."""
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def client(runs):
    """A running server for `runs`, and a browser."""
    with Server(runs, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield Client(server)
        server.shutdown()
        thread.join()
