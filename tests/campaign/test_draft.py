"""Configurations of stand-alone jobs from what a command was given."""

from pathlib import Path

import pytest

from emjax.campaign.draft import (
    draft_consensus,
    draft_reconstruct,
    draft_som,
    run_names,
    write_draft,
)
from emjax.campaign.init import config_text
from emjax.campaign.settings import complete
from emjax.errors import InputError


def test_a_map_has_what_was_given_and_no_more():
    config = draft_som(Path("Class2D/job010"), None, {"map": [5, 4], "seeds": None})
    assert config == {
        "job": "som",
        "campaign": "job010-som",
        "particles": "Class2D/job010",
        "runs": {"som": {"map": [5, 4], "seeds": 3}},
    }
    assert complete(config)["runs"]["som"]["ctf"] == "phase_flip"


def test_a_stack_said_to_be_aligned_has_no_ctf():
    given = {"aligned": True, "filter_resolution": 10.0}
    config = draft_som(Path("aligned.mrcs"), "map", given)
    assert config["filter_resolution"] == 10
    assert config["runs"]["som"] == {"aligned": True, "ctf": "none", "seeds": 3}
    unsaid = draft_som(Path("aligned.mrcs"), "map", {"aligned": None})
    assert "ctf" not in unsaid["runs"]["som"]


def test_other_options_under_the_same_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_draft(draft_som(Path("a.star"), "map", {}))
    text = path.read_text()
    assert "    seeds: 3\n" in text and "em3d" not in text and "    #layout: rect\n" in text
    assert write_draft(draft_som(Path("a.star"), "map", {})) == path
    with pytest.raises(InputError, match="other options"):
        write_draft(draft_som(Path("a.star"), "map", {"seeds": 4}))
    assert path.read_text() == text


def test_runs_are_named_after_their_jobs_and_never_alike():
    jobs = ["Class3D/job010", "Class3D/job011/run_it025_data.star", "J12/J12_00103_particles.cs"]
    assert run_names([Path(job) for job in jobs]) == ["job010", "job011", "J12_00103_particles"]
    same = ["Class3D/job010/run_it024_data.star", "Class3D/job010/run_it025_data.star"]
    assert run_names([Path(file) for file in same]) == [
        "job010-run_it024_data",
        "job010-run_it025_data",
    ]
    assert run_names([Path("a/x.csv"), Path("b/x.csv")]) == ["x", "x-2"]


def test_particles_are_those_of_the_first_file_that_lists_images():
    labels = [Path("a.csv"), Path("b.star"), Path("c.star")]
    config = draft_consensus(labels, None, "both", {"n_classes": 3, "min_class_size": None})
    assert config["particles"] == "b.star" and config["consensus"] == {"n_classes": 3}
    assert [run["path"] for run in config["runs"]["external"]] == ["a.csv", "b.star", "c.star"]
    filled = complete(config)
    assert complete(filled) == filled
    text = config_text("both.yaml", config)
    assert "external:" in text and "em3d" not in text and "masks" not in text
    assert draft_consensus(labels[:1], None, None, {})["particles"] == "a.csv"


def test_reconstruct_says_what_it_reads(particles: Path):
    config = draft_reconstruct(
        particles / "particles.star", "maps", Path("a.csv"), Path("mask.mrc"), "D2"
    )
    filled = complete(config)
    assert complete(filled) == filled and filled["symmetry"] == "D2"
    assert filled["reconstruct"]["classes"] == "a.csv" and filled["filter_resolution"] > 0
    text = config_text("maps.yaml", config)
    assert "solvent: mask.mrc" in text and "em3d" not in text and "#consensus:" not in text
