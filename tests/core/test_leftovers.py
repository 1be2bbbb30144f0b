import pytest

from rlgen.core.leftovers import dated, delete, time_of


@pytest.fixture
def run(tmp_path):
    for name in (
        "checkpoints/000000100/state.json",
        "checkpoints/000000200/state.json",
        "checkpoints/1000000000/state.json",
        "checkpoints/.partial-7-000000300/state.json",
        "samples/000000100.png",
        "samples/000000200.png",
        "samples/.partial-7-000000300.png",
        "samples/20240101120000.png",
        "holiday/000000200.png",
        ".partial-7-run.json",
        "curves.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def names(directory):
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


LATER = {
    "checkpoints/000000200/state.json", "checkpoints/1000000000/state.json", "samples/000000200.png",
    "samples/20240101120000.png",
}  # fmt: skip
UNFINISHED = {
    "checkpoints/.partial-7-000000300/state.json", "samples/.partial-7-000000300.png", ".partial-7-run.json"
}  # fmt: skip


def test_what_is_later_or_unfinished_is_deleted(run):
    before = names(run)
    delete(run, 100, ["samples"])
    assert before - names(run) == LATER | UNFINISHED


def test_a_run_that_did_not_record_its_folders_has_pictures_in_all(run):
    before = names(run)
    delete(run, 100, None)
    assert before - names(run) == LATER | UNFINISHED | {"holiday/000000200.png"}


def test_of_similar_names_nothing_is_deleted(run):
    kept = {
        "samples/0000000200.png",
        "samples/200.png",
        "samples/٠٠٠٠٠٠٢٠٠.png",
        "samples/000000200.jpg",
        ".partial-x/y",
    }
    for name in kept:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    (run / "checkpoints/000000900").write_text("a file")
    delete(run, 100, ["samples"])
    assert kept | {"checkpoints/000000900"} <= names(run)


def test_links_are_neither_followed_nor_deleted(run, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    for name in (".partial-7-x", "000000900"):
        (outside / name).mkdir()
        (outside / f"{name}.png").write_text("mine")
    (run / "photos").symlink_to(outside)
    (run / ".partial-8-x").symlink_to(outside)
    (run / "samples" / "000000900.png").symlink_to(outside / "000000900.png")
    (run / "checkpoints" / "000000900").symlink_to(outside / "000000900")
    delete(run, 100, None)
    assert len(list(outside.iterdir())) == 4
    assert (run / "checkpoints" / "000000900").is_symlink()
    assert (run / ".partial-8-x").is_symlink()
    (run / "checkpoints").rename(run / "other")
    (run / "checkpoints").symlink_to(outside)
    delete(run, 100, None)
    assert len(list(outside.iterdir())) == 4


@pytest.mark.parametrize("time", [0, 1, 999_999_999, 1_000_000_000, 10**17])
def test_the_time_of_a_name(time):
    assert time_of(dated(time)) == time


@pytest.mark.parametrize("name", ["", "1", "0000000001", "-00000001", "00000001x", 5_000 * "9", "١٢٣٤٥٦٧٨٩", "1e9"])
def test_other_names_have_no_time(name):
    assert time_of(name) is None
