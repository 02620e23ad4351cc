"""Messages that the manual quotes are messages of the program."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.campaigns import ROOT

PAGE = ROOT / "docs/troubleshooting.md"
QUOTED = re.findall(r"^`(.+)`\n: ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
# How an error joins its parts: file, place, found, expected.
JOINTS = re.compile(r"…|: found |, expected |^found |: ")


def texts() -> Iterator[str]:
    """Every text of the program, with … for what it puts in."""
    for path in sorted((ROOT / "emjax").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documents = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if id(node) in documents:
                continue
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.fixture(scope="module")
def program() -> str:
    return "\n".join(texts())


def test_many_messages_are_quoted():
    assert len(QUOTED) > 45 and len(set(QUOTED)) == len(QUOTED)


@pytest.mark.parametrize("message", QUOTED)
def test_quoted_messages_are_those_of_the_program(message: str, program: str):
    fragments = [part.strip() for part in JOINTS.split(message)]
    fragments = [part for part in fragments if len(part) > 3]
    assert fragments, "nothing but names"
    assert [part for part in fragments if part not in program] == []
