"""Times and memory of `rlgen ui` and `rlgen report` over generated runs: `python tests/benchmarks/ui.py [--runs 100]`.

"first data" is everything that the page fetches before its first curves: itself, the list of runs, details and logs of
the newest four. "poll" is what an open page costs a machine each second, in CPU time of the server: beside a training
on one core, that share of its speed. Files are in the cache of the operating system, as after a training.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = 10_000  # of a log
NEWEST = 4  # runs that are shown at first


def generate(folder, runs, active=0):
    """So many runs of `LINES` lines, the newest `active` of them marked as running; the logs are one file."""
    folder.mkdir()
    rows = ({"time": 10 * i, "loss": 1 / (i + 1), "q": 0.01 * i, "return": float(i % 200)} for i in range(LINES))
    log = folder / "log"
    log.write_text("".join(json.dumps({**row, "gradient_norm": 1.5, "epsilon": 0.04}) + "\n" for row in rows))
    for i in range(runs):
        directory = folder / f"dqn-CartPole-{i}"
        directory.mkdir()
        info = {
            "name": directory.name, "status": "finished", "kind": "agent", "algorithm": "dqn", "task": "CartPole",
            "created": f"2026-01-{1 + i // 60 % 28:02d}T00:{i % 60:02d}:00.000+00:00", "seed": i, "time": 10 * LINES,
            "config": {f"setting_{k}": k / 7 for k in range(50)}, "plan": {"budget": 10 * LINES},
            "argv": ["rlgen", "dqn", "CartPole"], "versions": {"python": "3.11"}, "result": {"score": float(i)},
            "changed": {"lr": 0.002, "batch": 128, "seed": i},
        }  # fmt: skip
        (directory / "run.json").write_text(json.dumps(info, indent=2))
        os.link(log, directory / "metrics.jsonl")
        (directory / "timing.jsonl").write_text('{"time": 10, "seconds": 1.0, "rate": 10.0}\n')
    log.unlink()
    return folder


class Server:
    """A server in a process of its own, and a browser's requests to it."""

    def __init__(self, folder):
        words = [sys.executable, "-m", "rlgen", "ui", "--port", "0", "--runs", str(folder)]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.port, token = re.search(r":(\d+)/\?token=(\S+)", self.process.stdout.readline()).groups()
        answer = self._send("GET", f"/?token={token}")[0]
        self.cookie = answer.getheader("Set-Cookie").split(";")[0]

    def _send(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port))
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()

    def get(self, path):
        answer, content = self._send("GET", path, Cookie=self.cookie)
        assert answer.status == 200, content
        return content

    def live(self, run, action):
        origin = {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        answer, content = self._send("POST", f"/api/runs/{run}/live/{action}", "{}", Cookie=self.cookie, **origin)
        assert answer.status == 200, content

    def first(self):
        """Seconds until a page has the data of its first curves."""
        started = time.perf_counter()
        page = self.get("/").decode()
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(self.get, re.findall(r'(?:src|href)="(/page/[^"]+)"', page)))
            runs = json.loads(self.get("/api/runs"))["runs"][:NEWEST]
            paths = [f"/api/runs/{run['name']}" for run in runs]
            list(
                pool.map(self.get, [*paths, *(f"{p}/{log}?points=2000" for p in paths for log in ("log", "episodes"))])
            )
        return time.perf_counter() - started

    def poll(self, times=100):
        """CPU seconds of the server for the requests of an open page of one second."""
        listed = json.loads(self.get("/api/runs"))
        paths = [f"/api/runs?id={listed['id']}"]
        for run in listed["runs"][:NEWEST]:  # as if all of them were in training
            log = f"/api/runs/{run['name']}/log"
            answer = json.loads(self.get(f"{log}?points=100"))
            paths.append(f"{log}?after={answer['offset']}&id={answer['id']}")
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port))
        before = self.cpu()
        for _ in range(times):
            for path in paths:
                connection.request("GET", path, headers={"Cookie": self.cookie})
                assert len(connection.getresponse().read()) < 1000
        return (self.cpu() - before) / times

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    def close(self):
        self.process.terminate()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="*", default=[100, 1000], help="Numbers of runs")
    parser.add_argument("--repeats", type=int, default=5, help="Fresh servers for the median of the first data")
    parser.add_argument("--run", type=Path, help="A trained run, for the latency of an action")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    try:
        for count in given.runs:
            folder = generate(place / str(count), count)
            first, busy = [], []
            for _ in range(given.repeats):
                server = Server(folder)
                before = server.cpu()
                first.append(server.first())
                busy.append(server.cpu() - before)
                server.poll(2)
                memory, polled = server.memory(), server.poll()
                server.close()
            print(
                f"{count:,} runs of {LINES:,} lines: first data {statistics.median(first):.3f} s"
                f" ({statistics.median(busy):.2f} s of CPU),"
                f" poll {1000 * polled:.1f} ms CPU a second, memory {memory:.0f} MiB at most"
            )
            names = [str(path) for path in sorted(folder.iterdir())[:10]]
            started, before = time.perf_counter(), os.times()
            subprocess.run([sys.executable, "-m", "rlgen", "report", *names, "--out", str(place / "r.html")], cwd=ROOT)
            size = (place / "r.html").stat().st_size / 1e6
            cpu = sum(os.times()[2:4]) - sum(before[2:4])
            seconds = time.perf_counter() - started
            print(f"report of 10 of them: {seconds:.1f} s ({cpu:.1f} s of CPU), {size:.1f} MB")
        if given.run:
            server = Server(given.run.resolve().parent)
            server.live(given.run.name, "describe")
            seconds = []
            for _ in range(200):
                started = time.perf_counter()
                server.live(given.run.name, "describe")
                seconds.append(time.perf_counter() - started)
            print(f"an action that computes nothing: {1000 * statistics.median(seconds):.1f} ms")
            server.close()
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
