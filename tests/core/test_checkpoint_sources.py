"""No source file contains code that executes loaded data."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def unsafe(source):
    """The names in a source file that could execute loaded data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in UNSAFE)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & {"torch.load", "torch.save", "numpy.load"}
            if node.module.split(".")[0] in UNSAFE:
                yield node.module
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in {("torch", "load"), ("torch", "save"), ("np", "load"), ("numpy", "load")}:
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            yield node.func.id
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", 1):
            yield "allow_pickle"


def test_no_source_loads_executable_data():
    for sample in ("import pickle", "from torch import load", "torch.load(f)", "f(allow_pickle=True)", "exec(s)"):
        assert list(unsafe(sample))
    sources = [path for package in ("rlgen", "agents", "envs") for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 20
    assert {path.name: found for path in sources if (found := list(unsafe(path.read_text())))} == {}
