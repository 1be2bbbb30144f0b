"""Milliseconds from a point of the latent plane to its picture, by the server of `rlgen ui`. Prints measurements.

    python tests/benchmarks/latent_drag.py           # of untrained models with the default networks
    python tests/benchmarks/latent_drag.py --size 64

A request is sent as the page sends it, one at a time; the time is that of the whole answer. Measure on an idle machine.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

import rlgen
from rlgen.ui.server import Server

MODELS = {"ae": {}, "vae": {}, "vae, convolutional": {"network": "convolutional"}, "vae, 2 dimensions": {"latent": 2}}


def ask(server: Server, run: str, action: str, **body: object) -> dict:
    """The answer of an action."""
    port = server.server_address[1]
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Cookie": f"rlgen-{port}={server.guard.secret}",
        "Origin": f"http://127.0.0.1:{port}",
        "Content-Type": "application/json",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", f"/api/runs/{run}/live/{action}", json.dumps({"at": None, **body}), headers)
    answer = json.loads(connection.getresponse().read())
    assert "error" not in answer, answer
    return answer


def main() -> None:
    """Train each model for one step, and time decoded points."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=28, help="side of the images in pixels, those of digits scaled")
    options.add_argument("--points", type=int, default=200, help="points of the plane")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in MODELS.items():
            algorithm, run = name.split(",")[0], name.replace(", ", "-").replace(" ", "-")
            plan = {"size": given.size, "budget": 128, "threads": 1, "progress": False}
            rlgen.train(algorithm, "digits", runs=folder, name=run, **plan, **settings)
        with Server(Path(folder), 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            for name in MODELS:
                run = name.replace(", ", "-").replace(" ", "-")
                begin = time.perf_counter()
                units = ask(server, run, "latent-units")["units"]
                first, times = time.perf_counter() - begin, []
                for k in range(given.points):
                    z = [unit["start"] + 0.01 * k for unit in units]
                    begin = time.perf_counter()
                    ask(server, run, "latent-decode", z=z)
                    times.append(1000 * (time.perf_counter() - begin))
                times.sort()
                high = times[-len(times) // 20]
                print(
                    f"{name:22} median {statistics.median(times):5.1f} ms, 95th percentile {high:5.1f} ms, largest"
                    f" {times[-1]:5.1f} ms; codes of the test images at first {first:.1f} s",
                    flush=True,
                )
            server.shutdown()


if __name__ == "__main__":
    main()
