"""Pages of stand-alone jobs: a consensus of label files, reconstructed classes."""

import re
from pathlib import Path

import pytest

from emjax.report import advice
from emjax.report.page import render_report, write_figures
from tests.report.alone_files import make_consensus, make_reconstruction


@pytest.fixture(scope="module")
def consensus(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The page of a consensus of label files, and its folder."""
    folder, config = make_consensus(tmp_path_factory.mktemp("consensus"))
    write_figures(folder, config)
    return render_report(folder, config), folder.path


@pytest.fixture(scope="module")
def reconstruction(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of reconstructed classes."""
    return render_report(*make_reconstruction(tmp_path_factory.mktemp("maps")))


def test_a_consensus_shows_what_label_files_allow(consensus: tuple[str, Path]):
    page, folder = consensus
    tabs = re.findall(r'role="tab" id="tab-(\w+)"', page)
    assert tabs == ["classes", "number", "intersections", "runs", "provenance"]
    assert "<span>consensus</span> <b>three</b>" in page
    assert "emjax run three.yaml" in page and 'class="keep"' not in page
    assert "Difference from the mean" not in page and "difference maps" not in page
    assert {path.stem for path in (folder / "figures").iterdir()} >= {"intersections", "dendrogram"}
    assert "No image was read" in page


@pytest.mark.parametrize("images", [True, False])
def test_only_files_that_list_images_are_to_be_refined_from(
    images: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(advice, "misses", lambda campaign: {c: [] for c in campaign.class_numbers})
    folder, config = make_consensus(tmp_path)
    star = folder.consensus.particles.star
    if not images:
        star.write_text(star.read_text().replace("_rlnImageName", "_emjaxParticle"))
    page = render_report(folder, config)
    assert ("half-sets kept, poses free" in page) == ("with poses and classes" in page) == images
    assert ("by the key they share" in page) == ("classes by particle" in page) == (not images)


def test_every_link_of_a_consensus_is_a_file(consensus: tuple[str, Path]):
    page, folder = consensus
    links = re.findall(r'href="(consensus/[^"]+)"', page)
    assert any("intersections/intersection_001.star" in link for link in links)
    assert any("classes/class_002.star" in link for link in links)
    assert any("representatives/" in link for link in links)
    assert all((folder / link).is_file() for link in links)


def test_representatives_are_named_where_their_maps_are_shown(consensus: tuple[str, Path]):
    page, folder = consensus
    assert re.search(r"Slices through the middle of its most similar input class, \d of job", page)


def test_reconstructed_classes_keep_their_numbers(reconstruction: str):
    assert re.findall(r'<article class="card" id="class-(\d)"', reconstruction) == ["2", "5"]
    assert "Classes 1, 3, 4 are empty." in reconstruction
    assert "7 particles of 400 have no class." in reconstruction
    assert "2 classes at " in reconstruction and "The input: a doubt." in reconstruction
    # Where there are doubts the first box is not green.
    assert 'class="verdict warn"' in reconstruction
    title = r"Half-maps of class 2 agree to [\d.]+ Å \(FSC 0.143\), class 5 to the limit of"
    assert re.search(title, reconstruction)
    assert "95 % intervals" not in reconstruction and "consensus class" not in reconstruction
