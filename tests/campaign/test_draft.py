"""Configurations that the commands of stand-alone jobs write."""

from pathlib import Path

from emjax.campaign.draft import draft_consensus, draft_reconstruct, run_names
from emjax.campaign.init import config_text
from emjax.campaign.settings import complete


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
