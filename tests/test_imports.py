import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    ".".join([*prefix, *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
    for folder, prefix in (("rlgen", []), ("agents", ["rlgen"]), ("envs", ["rlgen"]))
    for path in sorted((ROOT / folder).rglob("*.py"))
}
MAY_IMPORT = {  # each room, and the rooms it may know besides itself
    "rlgen.core": [],
    "rlgen.report.statistics": [],
    "rlgen.envs": ["rlgen.core"],
    "rlgen.agents": ["rlgen.core", "rlgen.envs", "rlgen.networks", "rlgen.report.statistics"],
    "rlgen.data": ["rlgen.core"],
    "rlgen.networks": ["rlgen.core"],
    "rlgen.generative": ["rlgen.core", "rlgen.data", "rlgen.networks"],
    "rlgen.supervised": ["rlgen.core", "rlgen.data", "rlgen.networks", "rlgen.report.statistics"],
}
NOBODY_IMPORTS = {"rlgen.cli": "rlgen.__main__"}


def part(module):
    """The part of the house a module stands in; the rest is the command line and what it shows."""
    return next((name for name in MAY_IMPORT if part_of(module, name)), "the rest")


def part_of(module, room):
    return module == room or module.startswith(f"{room}.")


def imports(source):
    """Every module a source file names, wherever in it that happens."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from [name if name in SOURCES else node.module for name in names]


def ours(module):
    return [name for name in imports(SOURCES[module].read_text()) if name.split(".")[0] == "rlgen"]


def test_the_house_was_found():
    assert {
        "rlgen.core.fit",
        "rlgen.cli",
        "rlgen.generative.gan.gan",
        "rlgen.agents.dqn",
        "rlgen.envs.vector_env",
        "rlgen.core",
    } <= set(SOURCES)
    assert ours("rlgen.agents.dqn")
    assert {"rlgen.core.run", "rlgen.core.settings"} <= set(ours("rlgen.core.fit"))


@pytest.mark.parametrize("module", [module for module in SOURCES if part(module) != "the rest"])
def test_imports_point_one_way(module):
    home = part(module)
    assert [name for name in ours(module) if part(name) not in (home, *MAY_IMPORT[home])] == []


@pytest.mark.parametrize("module", SOURCES)
def test_nobody_imports_the_command_line(module):
    for name, only in NOBODY_IMPORTS.items():
        assert module == only or part_of(module, name) or not any(part_of(other, name) for other in ours(module))


def test_gymnasium_is_known_to_envs_alone():
    users = {module for module, path in SOURCES.items() for name in imports(path.read_text()) if "gymnasium" in name}
    assert {part(module) for module in users} == {"rlgen.envs"}


def test_no_circles():
    """Modules import each other in an order: none waits for one that waits for it."""
    waiting = {
        module: {name for name in at_once(path) if name in SOURCES and name != module}
        for module, path in SOURCES.items()
    }
    while free := [module for module, needs in waiting.items() if not needs & set(waiting)]:
        for module in free:
            del waiting[module]
    assert waiting == {}


def at_once(path):
    """The imports that run when a module is imported: not those within functions or for the type checker."""
    tree = ast.parse(path.read_text())
    later = (ast.FunctionDef, ast.AsyncFunctionDef, ast.If)
    lines = [ast.unparse(node) for node in tree.body if not isinstance(node, later)]
    return imports("\n".join(line for line in lines if line.startswith(("import", "from"))))


LIGHT = """
import json, sys
from rlgen.cli.main import main

sys.argv = ["rlgen", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as end:
    heavy = sorted({"torch", "gymnasium", "scipy", "sklearn"} & set(sys.modules))
    assert not end.code, end.code
    assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "dqn --help",
        "gan --help",
        "runs",
        "runs --json",
        "tag --help",
        "plot --help",
        "compare --help",
        "resume --help",
        "eval --help",
        "play --help",
        "lesson",
        "lesson --help",
        "summary --help",
        "ui --help",
        "report --help",
        "verify --help",
    ],
)
def test_torch_is_not_imported_where_nothing_is_trained(tmp_path, words):
    import json

    from rlgen.core.folder import Folder

    info = {"algorithm": "dqn", "task": "CartPole", "time": 5, "plan": {"budget": 10}}
    Folder.create(tmp_path, "dqn-CartPole", **info)
    argv = json.dumps([*words.split(), *(["--runs", str(tmp_path)] if words.startswith("runs") else [])])
    done = subprocess.run([sys.executable, "-W", "error", "-c", LIGHT, argv], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert any(word in done.stdout for word in ("dqn", "Usage", "claim"))


def test_torch_is_not_imported_to_draw_or_to_say_hello():
    modules = "rlgen.report.plots, rlgen.report.classification, rlgen.catalog, rlgen.core.settings"
    modules += ", rlgen.ui.server, rlgen.ui.inlining, rlgen.ui.comparing, rlgen.report.comparison, rlgen.verify"
    code = f"import sys, rlgen, {modules}; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
