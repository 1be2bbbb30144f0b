import json

from rlgen import catalog
from rlgen.cli import completion_table as table


def test_the_stored_table_is_that_of_the_commands():
    """After a change of commands, options or tasks: `python -m rlgen.cli.completion_table`."""
    stored = json.loads(table.FILE.read_text("utf-8"))
    assert stored == json.loads(json.dumps(table.build()))


def test_every_option_of_an_algorithm_is_there():
    made = table.build()
    for name, entry in catalog.CATALOG.items():
        command = made["commands"][name]
        options = {**made["settings"][command["settings"]], **command["options"]}
        assert {"--seed", "--budget", "--preset"} <= set(options)
        assert command["kind"] == entry.kind.name
        assert command["arguments"] == ["tasks"]
