"""Executes the example notebooks and writes their outputs: `python tests/notebooks.py`.

A notebook is JSON (nbformat 4.5); its cells run one after the other in one namespace, in a folder of their own. The
value of the last expression of a cell shows itself as IPython would show it.
"""

import ast
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "rlgen" / "notebooks"


def execute(path: Path) -> dict[str, Any]:
    """The notebook with the outputs of its code cells. An error in a cell is raised."""
    notebook: dict[str, Any] = json.loads(path.read_text("utf-8"))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
            for number, cell in enumerate(code, 1):
                cell["execution_count"] = number
                cell["outputs"] = _run("".join(cell["source"]), namespace, number)
        finally:
            os.chdir(before)
    return notebook


def _run(source: str, namespace: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """The outputs of a cell: what it prints, and the value of its last expression."""
    tree, printed, outputs = ast.parse(source), io.StringIO(), []
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), namespace)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace) if last else None
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        shown = value._repr_mimebundle_() if hasattr(value, "_repr_mimebundle_") else {"text/plain": repr(value)}
        data = {kind: text.splitlines(keepends=True) for kind, text in shown.items()}
        result = {"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}
        outputs.append(result)
    return outputs


def write(notebook: dict[str, Any], path: Path) -> None:
    """Write a notebook as Jupyter does: indented by one space."""
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        write(execute(path), path)
        print(f"{path}  {path.stat().st_size / 1000:,.0f} kB")
