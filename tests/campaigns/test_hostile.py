"""A share of the campaign of hostile run folders, and fuzzing of what reads them."""

import json
import random
import shutil
from contextlib import contextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlgen import preparation, session
from rlgen.cli import listing
from rlgen.core import files
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.tail import Tail
from rlgen.data import cifar, idx, picture_files
from rlgen.report import logs
from tests.campaigns.hostile import OTHER, VICTIM, Campaign
from tests.campaigns.hostile_files import VALUES, Raw, attacks, reseal

PLAIN = [value for value in VALUES if not isinstance(value, Raw)]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_subnormal=False)
    | st.text(max_size=5)
    | st.sampled_from(PLAIN)
)
JSON = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=5), part, max_size=4)
)
FEW = settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
KEYS = ("algorithm", "task", "kind", "config", "plan", "setup", "seed", "threads", "time", "created", "best", "result")
SHARE = {
    "pipe metrics.jsonl": "plot", "device run.json": "runs", "link log.txt": "resume further",
    "link samples/": "resume", "hole labels.json": "tag", "pipe run.json": "note", "loop report.json": "page",
    "link tensorboard/": "tensorboard",
}  # fmt: skip


@contextmanager
def refused(kind):
    """Whether there is an error or none; the reason of one is a line."""
    with suppress(kind):
        try:
            yield
        except kind as error:
            if "\n" in str(error):
                raise AssertionError(str(error)) from error
            raise


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Campaign(tmp_path_factory.mktemp("hostile"), 0, ("agent",))


@pytest.mark.parametrize("name", SHARE)
def test_hostile_files_do_no_harm(campaign, name):
    apply = dict(attacks(campaign.honest["agent"], random.Random(0)))[name]
    assert campaign.attempt("agent", apply, SHARE[name]) == ""


def test_the_campaign_notices_harm(campaign):
    """A command that prints what is outside, and one that deletes there."""

    def leak(run, outside):
        (run / "run.json").unlink()
        shutil.copy(outside / "secret.json", run / "run.json")

    assert "outside" in campaign.attempt("agent", leak, "runs")


@FEW
@given(st.binary(max_size=40) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_json_is_a_value_or_one_line(content):
    with refused(ValueError):
        files.parse(content)


@FEW
@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3))
def test_any_description_is_read_or_refused(campaign, tmp_path_factory, changed):
    runs = tmp_path_factory.mktemp("runs")
    shutil.copytree(campaign.honest["agent"], runs / VICTIM)
    info = json.loads((runs / VICTIM / "run.json").read_text())
    info.pop("sha256", None)
    (runs / VICTIM / "run.json").write_text(json.dumps({**info, **changed}))
    for folder in Folder.all(runs):
        listing.list_runs(runs=runs, json_=True)
        assert folder.status
    for read in (logs.read, lambda directory: preparation.saved_settings(Folder(directory))):
        with refused(UserError):
            read(runs / VICTIM)


@FEW
@given(st.lists(st.dictionaries(st.sampled_from(["time", "loss", "check", "eval_return"]), JSON) | JSON, max_size=4))
def test_any_log_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    logs.columns(path)
    tail = Tail(path)
    tail.update()
    for row in [*tail.rows, *Folder(path.parent).rows()]:
        assert isinstance(row, dict)


@settings(FEW, max_examples=15)
@given(st.data())
def test_any_sealed_state_is_restored_or_refused(campaign, tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("runs") / OTHER
    shutil.copytree(campaign.honest["agent"], directory)
    path = max(directory.glob("checkpoints/*/state.json"))
    state = json.loads(path.read_text())
    inner, key = state, data.draw(st.sampled_from(sorted(state)))
    while isinstance(inner[key], dict) and inner[key] and data.draw(st.booleans()):
        inner = inner[key]
        key = data.draw(st.sampled_from(sorted(inner)))
    inner[key] = data.draw(JSON)
    path.write_text(json.dumps(state))
    reseal(path)
    with refused(UserError):
        session.restore(Folder(directory))


@FEW
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x1f\x8b", b"\0\0\x08\x03", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
)
def test_any_file_of_a_dataset_is_read_or_refused(tmp_path_factory, content, start):
    path = tmp_path_factory.mktemp("data") / "file"
    path.write_bytes(start + content)
    for read in (
        lambda: idx.read(path, idx.File("file", (2, 2, 2), 64 * "0")),
        lambda: cifar.read(path, "test"),
        lambda: picture_files.read(path, (1, 8, 8)),
    ):
        with refused(UserError):
            read()
