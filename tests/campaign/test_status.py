"""What `emjax status` says of a campaign's files."""

import os
from pathlib import Path

import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.origin import checksum_of
from emjax.campaign.settings import complete
from emjax.campaign.status import status
from emjax.io.files import read_json, write_json
from tests.report.campaigns import make_campaign, read_config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CampaignFolder:
    """A finished campaign, below the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = CampaignFolder.of("demo")
    make_campaign(folder.path, n_particles=200)
    return folder


def said(folder: CampaignFolder, **changes) -> str:
    return "\n".join(status(complete(read_config(folder.path) | changes)))


def test_says_what_is_done_what_is_not_and_what_was_found(folder: CampaignFolder):
    folder.run("em3d-K06-s002").metrics.unlink()
    folder.logs.mkdir(parents=True)
    (folder.logs / "prepare_particles.log").write_text("2026-01-01 10:00:00 done after 3.0 s\n")
    (folder.logs / "classify_em3d_s000.log").write_text("2026-01-01 10:00:09 iteration 7\n")
    runs = {"em3d": {"n_classes": [4, 6], "seeds": 3}}
    first = said(folder, runs=runs)
    assert "em3d: 5 of 6 runs finished" in first
    assert "classify_em3d_s000 is not finished; 2026-01-01 10:00:09 iteration 7" in first
    assert "prepare_particles" not in first
    assert "consensus: 4 classes, 4 of them significant" in first
    elbows = read_json(folder.consensus.elbows) | {"why": "5 classes: so it is."}
    write_json(folder.consensus.elbows, elbows | {"recommended": 5})
    second = said(folder, runs=runs)
    assert "you asked for 4; 5 would be recommended: so it is." in second
    assert "why this number" not in second


def test_says_that_nothing_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    config = complete(read_config(tmp_path / "demo"))
    assert list(status(config))[1:] == ["  not started"]


def test_says_what_is_older_than_the_preparation_or_of_other_particles(folder: CampaignFolder):
    for name in ("data/particles.star", "data/other.star"):
        Path("data").mkdir(exist_ok=True)
        Path(name).write_text(name)
    facts = read_json(folder.prepare.facts)
    facts |= {"particles": "data/particles.star", "checksum": checksum_of("data/particles.star")}
    write_json(folder.prepare.facts, facts)
    os.utime(folder.prepare.facts, (0, 0))
    assert "OUT OF DATE" not in said(folder)
    other = said(folder, particles="data/other.star")
    assert "holds a campaign of data/particles.star (200 particles" in other
    Path("data/particles.star").write_text("edited")
    changed = "OUT OF DATE: data/particles.star has changed since the preparation"
    assert changed in said(folder)
    os.utime(folder.consensus.stability, (0, 0))
    os.utime(folder.prepare.facts)
    assert "OUT OF DATE: stability.tsv is older than the preparation" in said(folder)
