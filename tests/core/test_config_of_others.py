"""Files of settings that are none: one line with the reason."""

import os
import threading

import pytest

from rlgen.core.config import read_file
from rlgen.core.errors import UserError
from rlgen.core.settings import Plan, Setup


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.json", '{"config": [], "plan": {}, "setup": {}}', "no run.json of this rlgen: config, plan and setup"),
        ("x.json", '{"config": {}, "plan": null, "setup": {}}', "no run.json of this rlgen"),
        ("x.json", "[1]", "must hold settings by name"),
        ("x.json", '{"budget": ' + 5_000 * "9" + "}", "not valid JSON: an integer of 5,000 digits"),
        ("x.json", "[" * 100_000, "not valid JSON: nested"),
        ("x.json", '{"budget": NaN}', "not valid JSON: the number NaN"),
        ("x.json", b"\xff\xfe", "not valid JSON: 'utf-8'"),
        ("x.toml", "a = " + "[" * 100_000, "not valid TOML"),
        ("x.toml", "budget = " + 5_000 * "9", "not valid TOML"),
        ("x.toml", b"\xff", "not valid TOML"),
        ("x.json", 5_000_000 * " ", "larger than 4,194,304 bytes"),
    ],
    ids=range(11),
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=reason) as caught:
        read_file(path, (Plan, Setup))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_settings_may_come_through_a_pipe_of_the_shell(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    threading.Thread(target=path.write_text, args=('{"budget": 7}',)).start()
    assert read_file(path, (Plan, Setup)) == {"budget": 7}
