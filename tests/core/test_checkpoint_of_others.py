"""Checkpoints of others: what would take long is refused before it is read."""

import json
import struct
import time

import pytest
import torch

from rlgen.core import checkpoint
from rlgen.core.errors import CheckpointError
from tests.campaigns.hostile_files import reseal


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path / "000000001", {"x": torch.arange(3.0)})
    return tmp_path / "000000001"


def test_a_file_of_another_size_is_not_read(folder):
    with (folder / "tensors.safetensors").open("r+b") as file:
        file.truncate(64 << 30)  # a hole: it takes no disk, but minutes to read
    began = time.monotonic()
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.verify(folder)
    assert time.monotonic() - began < 5


def test_a_header_has_a_bound(folder):
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(f'"{number}":{entry}' for number in range(50_000)) + "}"
    path = folder / "tensors.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    reseal(path)
    with pytest.raises(CheckpointError, match=r"header of tensors\.safetensors has .* bytes, more than 2,097,152"):
        checkpoint.load(folder)


def test_entries_of_other_types_are_refused(folder):
    for name, value in (("$tensor", [1]), ("$pairs", [1]), ("$tuple", 1), ("$ring", {})):
        path = folder / "state.json"
        path.write_text(json.dumps({"x": {name: value}}))
        reseal(path)
        with pytest.raises(CheckpointError, match="cannot be read"):
            checkpoint.load(folder)
