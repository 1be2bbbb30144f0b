"""A training of two processes as the command line has it: one folder, one line at its end, resumed with another number.

They are started with the environment variables of torchrun, without its own process.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlgen.core.folder import Folder
from rlgen.session import prepare, reopen
from tests.core.test_processes import environment, free_port

ROOT = Path(__file__).parents[1]
OPTIONS = {
    "budget": 5_000, "log_every": 250, "eval_every": 2_500, "save_every": 500, "batch": 50, "network": "dense",
    "latent": 2, "width": 16, "precision": "float32", "portraits": False,
}  # fmt: skip


def two(*words):
    """The two processes of a command, running."""
    port, command = free_port(), [sys.executable, "-m", "rlgen", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return [subprocess.Popen(command, env=environment(rank, 2, port), **pipes) for rank in range(2)]


def begin(runs):
    flags = {f"--{name.replace('_', '-')}": value for name, value in OPTIONS.items() if value is not False}
    options = [word for pair in flags.items() for word in pair]
    return two("ae", "digits", "--runs", runs, "--name", "two", "--no-portraits", "--quiet", *options)


def wait_for(path, processes):
    """Wait until there is such a path, or a process has ended."""
    while not path.exists() and all(process.poll() is None for process in processes):
        time.sleep(0.002)


def end(processes):
    """Exit code, stdout and stderr of each."""
    try:
        return [(process.communicate(timeout=200), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()


def values(row):
    """The numbers of a line of the log: its check sum is of their last digits as well."""
    return {name: value for name, value in row.items() if name != "check"}


def test_a_stopped_training_is_resumed_by_one_process(tmp_path):
    """A signal to the second process reaches the first; the result is that of one process that was not stopped."""
    processes = begin(tmp_path)
    wait_for(tmp_path / "two" / "checkpoints" / "000000500", processes)
    processes[1].send_signal(signal.SIGTERM)
    (first, code), (second, _) = end(processes)
    run = Folder(tmp_path / "two")
    assert second == ("", "")
    assert code == 128 + signal.SIGTERM
    assert first[1].startswith("stopped at ")
    assert first[1].count("\n") == 1
    assert (run.status, run.info["processes"]) == ("interrupted", 2)
    assert 0 < run.info["time"] < OPTIONS["budget"]
    reopen(run, {}).train(quiet=True)
    prepare("ae", "digits", OPTIONS, runs=tmp_path, name="one").train(quiet=True)
    rows = [Folder(tmp_path / name).rows() for name in ("two", "one")]
    for row, other in zip(*rows, strict=True):
        assert values(row) == pytest.approx(values(other), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_with_one_line(tmp_path, killed):
    processes = begin(tmp_path)
    wait_for(tmp_path / "two" / "checkpoints" / "000000500", processes)
    processes[killed].kill()
    found = end(processes)
    (out, err), code = found[1 - killed]
    assert code == 9
    assert out == ""
    assert err.startswith("error: another process of this training was killed or has failed")
    assert err.count("\n") == 1
    run = Folder(tmp_path / "two")
    assert run.status == ("stale" if killed == 0 else "interrupted")
    (_, code), (second, code_of_second) = end(two("resume", "two", "--runs", tmp_path, "--quiet"))
    assert (code, code_of_second, second) == (0, 0, ("", ""))
    assert run.status == "finished"


@pytest.mark.slow
def test_torchrun_prints_the_results_of_one_process(tmp_path):
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    options = ["--budget", "500", "--batch", "50", "--network", "dense", "--latent", "2", "--runs", str(tmp_path)]
    found = subprocess.run([*words, "-m", "rlgen", "ae", "digits", *options], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("trained 500 images") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["ae-digits-1"]
    assert "in each of 2 processes" in Folder(tmp_path / "ae-digits-1").info["device"]
