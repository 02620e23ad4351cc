"""What a record says of machine and program."""

import json
import subprocess
from pathlib import Path

import pytest

from emjax import machine as module
from emjax.machine import commit, cores, machine


def test_a_machine_is_named_by_what_it_can_do():
    found = machine()
    assert found["cores"] == cores() >= 1 and found["processor"] and found["system"]
    assert float(found["memory_gb"]) > 0.1


class _Installed:
    """An installed emjax with the origin that pip has noted."""

    def __init__(self, origin: dict | None) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.origin is None else json.dumps(self.origin)


def test_the_commit_is_that_of_the_checkout_or_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "emjax/machine.py"))
    monkeypatch.setattr(module, "distribution", lambda _: _Installed(None))
    assert commit() == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@y"]
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert commit() == head.stdout.strip()
    (tmp_path / "file").write_text("two")
    assert commit() == f"{head.stdout.strip()} with changes"
    origin = {"vcs_info": {"vcs": "git", "commit_id": "abc"}}
    monkeypatch.setattr(module, "distribution", lambda _: _Installed(origin))
    assert commit() == "abc"
