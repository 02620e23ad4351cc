"""Every package that is imported is declared; the lock gives one version of each."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.campaigns import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Benchmarks are programs, which find each other in their folder.
OWN = {"emjax", "tests", "docs", "benchmarks"}
OWN |= {path.stem for path in ROOT.glob("benchmarks/*.py")}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in requirements}


def imported(*folders: str) -> Iterator[tuple[str, Path]]:
    """Top-level modules of other packages, and who imports them."""
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        own = OWN | {other.stem for other in path.parent.glob("*.py")}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            for module in {name.split(".")[0] for name in modules} - own:
                if module not in sys.stdlib_module_names:
                    yield module, path.relative_to(ROOT)


@pytest.mark.parametrize(
    ("folders", "extras"),
    [(("emjax", "workflow"), ()), (("tests", "docs"), ("dev",))],
    ids=["emjax", "tests"],
)
def test_what_is_imported_is_declared(folders: tuple[str, ...], extras: tuple[str, ...]):
    declared = names(PROJECT["dependencies"])
    for extra in extras:
        declared |= names(PROJECT["optional-dependencies"][extra])
    provided = packages_distributions()
    found = list(imported(*folders))
    assert {"numpy", "yaml"} <= {module for module, _ in found}
    for module, path in found:
        owners = {normal(name) for name in provided.get(module, [module])}
        assert owners & declared, f"{path} imports {module} of {owners}, which is not declared"


def test_the_lock_holds_every_dependency_with_one_version():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+", line) for line in lines)
    wanted = [*PROJECT["dependencies"]]
    for extra in ("dev", "slurm"):
        wanted += PROJECT["optional-dependencies"][extra]
    # pip freeze leaves out what builds packages.
    assert names(wanted) - {"setuptools"} <= names(lines)


def test_the_supported_versions_of_python_are_those_that_are_named():
    named = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert named == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_jax_stays_below_the_version_whose_transforms_wait_for_good():
    """Seen with 0.11.2; `test_maps_are_solved_in_as_many_threads_as_there_are_cores` shows it."""
    wanted = PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), [])
    jax = [line for line in wanted if names([line]) == {"jax"}]
    assert len(jax) == 3 and all(line.endswith(">=0.10,<0.11") for line in jax)
    (locked,) = re.findall(r"^jax==(\S+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked.startswith("0.10.")
