from dataclasses import dataclass

import pytest

from rlgen.core import cores, device, torchrun
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup

PLACE = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
ADDRESS = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@dataclass
class Config:
    batch: int = 64
    full_batch: bool = False
    optimizer: str = "lbfgs"
    side_by_side: int = 1


@pytest.fixture
def place(monkeypatch):
    for name, value in (PLACE | ADDRESS).items():
        monkeypatch.setenv(name, value)


def found():
    return torchrun.rank(), torchrun.count(), torchrun.local_rank(), torchrun.local_count()


def test_the_place_among_the_processes(place):
    assert found() == (3, 4, 1, 2)


@pytest.mark.parametrize("missing", ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"])
def test_a_process_without_torchrun_is_alone(place, monkeypatch, missing):
    monkeypatch.delenv(missing)
    assert found() == (0, 1, 0, 1)


def test_cores_are_divided_among_the_processes_of_a_machine(place, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "available", lambda: 8)
    threads = []
    monkeypatch.setattr(device.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(device, "threadpool_limits", lambda *given: None)
    device.choose(Setup(device="cpu"), accelerate=True)
    assert threads == [4]


def test_the_device_of_each_process(place, monkeypatch):
    taken = []
    monkeypatch.setattr(device.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(device.torch.cuda, "set_device", taken.append)
    assert device.choose(Setup(device="cuda", threads=1), accelerate=True).type == "cuda"
    assert taken == [1]
    monkeypatch.setattr(device.torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="--device cuda: 2 processes of torchrun and 1 CUDA devices on this machine"):
        device.choose(Setup(device="cuda", threads=1), accelerate=True)


def test_a_description_of_the_device_counts_the_processes(place, monkeypatch):
    monkeypatch.setattr(device.torch, "get_num_threads", lambda: 2)
    assert device.describe(device.torch.device("cpu")) == "cpu, 2 threads in each of 4 processes"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(batch=66), "--batch 66 cannot be shared out equally .* 4 processes .*: give --batch 64 or 68"),
        (Config(batch=3), "--batch 3 cannot .*: give --batch 4$"),
        (Config(full_batch=True), "--optimizer lbfgs takes the whole training set at each step"),
        (Config(side_by_side=5), "5 networks are trained side by side in one process: leave out --seeds"),
    ],
)
def test_what_cannot_be_shared_out_is_refused_by_name(place, config, message):
    torchrun.check(Config())
    with pytest.raises(UserError, match=message):
        torchrun.check(config)
