"""Write docs/library.ipynb: the code of docs/library.md, run, with what it prints."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def lines(text: str) -> list[str]:
    """A cell's source as notebooks hold it."""
    return text.strip("\n").splitlines(keepends=True)


def text_cell(text: str) -> dict[str, Any]:
    """A cell of prose; links to pages that are beside it."""
    return {"cell_type": "markdown", "metadata": {}, "source": lines(text)}


def code_cell(count: int, code: str, names: dict[str, Any]) -> dict[str, Any]:
    """A cell of code that was run, with its printed lines."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, f"cell {count}", "exec"), names)
    said = printed.getvalue()
    output = {"output_type": "stream", "name": "stdout", "text": said.splitlines(keepends=True)}
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": {},
        "outputs": [output] if said else [],
        "source": lines(code),
    }


def run_page(page: str) -> list[dict[str, Any]]:
    """The cells of a page, run one after the other in a folder with the demo's particles."""
    cells, names = [], dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        command = [sys.executable, "-m", "emjax.simulate.demo", "data/demo", "600"]
        subprocess.run(command, check=True, env=os.environ)
        for at, part in enumerate(BLOCK.split(page)):
            if at % 2:
                cells.append(code_cell((at + 1) // 2, part, names))
            elif part.strip():
                cells.append(text_cell(part))
    return cells


def main() -> None:
    """Run the page and write the notebook."""
    path = DOCS / "library.ipynb"
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    page = (DOCS / "library.md").read_text(encoding="utf-8")
    notebook = {"cells": run_page(page), "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
