"""What `make status` says of a campaign's files."""

import os
from pathlib import Path

import pytest
import yaml

from emjax.campaign.origin import checksum_of
from emjax.io.files import read_json, write_json
from tests.report.campaigns import make_campaign, read_config


def test_says_what_is_done_what_is_not_and_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from show_status import main

    monkeypatch.chdir(tmp_path)
    folder = make_campaign(Path("results/demo"), n_particles=200)
    (folder / "runs/em3d-K06-s002/metrics.json").unlink()
    config = read_config(folder) | {"runs": {"em3d": {"n_classes": [4, 6], "seeds": 3}}}
    Path("demo.yaml").write_text(yaml.safe_dump(config))
    logs = Path("logs/demo")
    logs.mkdir(parents=True)
    (logs / "prepare_particles.log").write_text("2026-01-01 10:00:00 done after 3.0 s\n")
    (logs / "classify_em3d_s000.log").write_text("2026-01-01 10:00:09 iteration 7, 11 s left\n")
    main("demo.yaml")
    said = capsys.readouterr().out
    assert "em3d: 5 of 6 runs finished" in said
    assert "classify_em3d_s000 is not finished; 2026-01-01 10:00:09 iteration 7" in said
    assert "prepare_particles" not in said
    assert "consensus: 4 classes, 4 of them significant" in said
    elbows = read_json(folder / "consensus/elbows.json") | {"why": "5 classes: so it is."}
    write_json(folder / "consensus/elbows.json", elbows | {"recommended": 5})
    main("demo.yaml")
    said = capsys.readouterr().out
    assert "you asked for 4; 5 would be recommended: so it is." in said
    assert "why this number" not in said


def test_says_that_nothing_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from show_status import main

    monkeypatch.chdir(tmp_path)
    Path("demo.yaml").write_text(yaml.safe_dump(read_config(tmp_path / "demo")))
    main("demo.yaml")
    assert "not started" in capsys.readouterr().out


def test_says_what_is_older_than_the_preparation_or_of_other_particles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from show_status import main

    monkeypatch.chdir(tmp_path)
    folder = make_campaign(Path("results/demo"), n_particles=200)
    config = read_config(folder)
    for name in ("data/particles.star", "data/other.star"):
        Path("data").mkdir(exist_ok=True)
        Path(name).write_text(name)

    def said(**changes) -> str:
        Path("demo.yaml").write_text(yaml.safe_dump(config | changes))
        main("demo.yaml")
        return capsys.readouterr().out

    facts = read_json(folder / "prepare/prepare.json")
    facts |= {"particles": "data/particles.star", "checksum": checksum_of("data/particles.star")}
    write_json(folder / "prepare/prepare.json", facts)
    os.utime(folder / "prepare/prepare.json", (0, 0))
    assert "OUT OF DATE" not in said()
    assert "holds a campaign of data/particles.star (200 particles" in said(
        particles="data/other.star"
    )
    Path("data/particles.star").write_text("edited")
    assert "OUT OF DATE: data/particles.star has changed since the preparation" in said()
    os.utime(folder / "consensus/stability.tsv", (0, 0))
    os.utime(folder / "prepare/prepare.json")
    assert "OUT OF DATE: stability.tsv is older than the preparation" in said()
