"""Particles without a class: one set of numbers on the page, in the verdict and in the figures."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_json, read_tsv, write_json, write_tsv
from emjax.report.aside import counts, sentences
from emjax.report.figure import percent
from emjax.report.fits import fit_figures, read_scores
from emjax.report.gallery import gallery
from emjax.report.landscape import landscape_figure
from emjax.report.number import tree_data
from emjax.report.origin import excess, origin_figures
from emjax.report.page import write_figures
from emjax.report.quality import occupancy_figure
from emjax.report.verdict import judge
from tests.report.campaigns import add_subspace, make_campaign, read, render
from tests.report.outlier_files import add_outliers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_campaign(tmp_path / "aside", n_particles=400)


def test_the_verdict_says_how_many_and_why_and_the_page_the_same(folder: Path):
    add_outliers(folder, junk=30, pose=1, between=9)
    sentence = (
        "40 of 400 particles (10\N{NO-BREAK SPACE}%) have no class: 30 hold no particle, 1 fits "
        "at another pose only, 9 fit no class more than the others."
    )
    campaign = read(folder)
    assert sentences(campaign) == [sentence]
    verdict = judge(campaign)
    assert verdict.found.count(sentence) == 1
    assert "hold 360 of 400 particles" in verdict.headline
    assert render(folder).count(sentence) == 2
    assert counts(campaign) == {"junk": 30, "pose": 1, "between": 9}


def test_nothing_is_said_where_nobody_was_set_aside(folder: Path):
    add_outliers(folder, junk=0, pose=0)
    campaign = read(folder)
    assert sentences(campaign) == [] and origin_figures(campaign) == []
    page = render(folder)
    assert "set aside:" not in page and "Why (emjaxSetAside)" not in page
    assert "Every particle fits the mean map better than chance" in page
    assert "Kept: those that fit least" in page and "(junk)" not in page


def test_a_campaign_without_fits_has_no_part_about_them(folder: Path):
    assert 'id="tab-particles"' not in render(folder)


def test_particles_used_at_another_pose_are_reported(folder: Path):
    add_outliers(folder, junk=0, pose=0)
    path = folder / "prepare/outliers.json"
    write_json(path, read_json(path) | {"recovered": 12})
    said = "12 particles fit at another pose only and are used there."
    assert said in judge(read(folder)).found


def test_shares_are_of_the_particles_that_take_part(folder: Path):
    reasons = add_outliers(folder, junk=30, pose=10, between=4)
    campaign = read(folder)
    assert campaign.takes_part.sum() == 360 == (~np.isin(reasons, ("junk", "pose"))).sum()
    figure = occupancy_figure(campaign)
    assert figure is not None and "of the particles that take part" in figure.title
    sizes = campaign.by_class("size")
    expected = [100 * sizes[c] / 360 for c in campaign.class_numbers]
    np.testing.assert_allclose(figure.data["percent"], expected)
    share = percent(sizes[1], 360)
    assert f"{sizes[1]:.0f} particles ({share} of 360)" in render(folder)
    tree = tree_data(campaign)
    assert tree is not None and tree["total"] == 360


def test_particles_that_some_run_lacks_are_not_said_to_have_a_class(folder: Path):
    campaign = read(folder)
    campaign.particles["rlnClassNumber"][:5] = 0
    campaign.particles["emjaxSetAside"] = np.full(400, "none")
    assert counts(campaign) == {"unassigned": 5} and campaign.takes_part.sum() == 395


def test_stability_of_particles_that_take_no_part_is_no_doubt(folder: Path):
    add_outliers(folder, junk=60, pose=20)
    campaign = read(folder)
    campaign.particles["emjaxStability"][campaign.takes_part] = 0.9
    assert not [line for line in judge(campaign).distrust if "stability below 0.5" in line]
    campaign.particles["emjaxStability"][np.flatnonzero(campaign.takes_part)[:16]] = 0.1
    share = "16 particles (5\N{NO-BREAK SPACE}%) belong to no class"
    assert [line for line in judge(campaign).distrust if line.startswith(share)]


def test_the_threshold_parts_those_set_aside_from_the_others(folder: Path):
    add_outliers(folder)
    (scores,) = read_scores(read(folder))
    threshold = scores.threshold
    assert threshold is not None
    assert (scores.score[scores.aside] < threshold).all()
    assert (scores.score[~scores.aside] > threshold).all()
    (figure,) = fit_figures(read(folder))
    assert f"below a score of {threshold:.1f}; none of them should fit" in figure.title
    drawn = figure.data[["none", "junk", "pose"]].sum()
    assert drawn["junk"] == 30 and drawn["pose"] == 10
    # The curve of what fits nothing holds those that do.
    assert figure.data["expected_unfit"].sum() == pytest.approx(40, rel=0.05)


def test_says_where_what_fits_nothing_cannot_be_distinguished(folder: Path):
    add_outliers(folder, junk=0, pose=0, separated=False)
    (figure,) = fit_figures(read(folder))
    assert "cannot be distinguished from the particles: none is set aside" in figure.title
    assert "separation 1.2, at least 2 expected" in figure.reading


def test_what_the_classes_set_aside_is_drawn_beside_them(folder: Path):
    add_outliers(folder)
    record = read_json(folder / "outliers/outliers.json") | {"set_aside": {"junk": 3}}
    write_json(folder / "outliers/outliers.json", record)
    fits = read_tsv(folder / "outliers/fits.tsv")
    fits.loc[[0, 1, 2], ["set_aside", "fit"]] = ["junk", 0.5]
    write_tsv(folder / "outliers/fits.tsv", fits)
    first, second = read_scores(read(folder))
    assert (first.aside.sum(), second.aside.sum(), len(second.score)) == (40, 3, 360)
    assert second.threshold is not None and second.threshold > 1


def test_excess_is_the_tail_of_drawing_without_replacement():
    place = np.repeat([0, 1, 3], [50, 30, 20])
    aside = np.zeros(100, bool)
    aside[[0, 1, 50, *range(80, 90)]] = True
    found = excess(place, aside, 4)
    assert found.total.tolist() == [50, 30, 0, 20]
    assert found.aside.tolist() == [2, 1, 0, 10]
    p = [hypergeom.sf(k - 1, 100, 13, n) for n, k in ((50, 2), (30, 1), (0, 0), (20, 10))]
    np.testing.assert_allclose(found.p_value, p)
    # Of the three places that hold particles.
    assert found.q_value[3] == pytest.approx(3 * p[3])


def test_micrographs_that_hold_most_of_it_are_named(folder: Path):
    add_outliers(folder, junk=18, pose=2)
    micrographs, views = origin_figures(read(folder))
    share = "90\N{NO-BREAK SPACE}%"
    assert micrographs.title == (
        "1 micrograph of 20 has more of what fits nothing than chance explains: " + share + " of it"
    )
    assert micrographs.data["micrograph"].iloc[0] == "mic3.mrc"
    assert micrographs.data["set_aside"].sum() == 20 == views.data["set_aside"].sum()
    assert views.data["particles"].sum() == 400
    assert "mic3.mrc: 18 of 20 particles" in micrographs.drawing


def test_views_are_cells_of_equal_area(folder: Path):
    add_outliers(folder)
    campaign = read(folder)
    bad = np.flatnonzero(np.isin(campaign.reasons, ("junk", "pose")))
    campaign.particles["rlnAngleRot"][bad] = 185.0  # -175
    campaign.particles["rlnAngleTilt"][bad] = 179.0
    figure = origin_figures(campaign)[1]
    assert "1 viewing direction of 18 has more" in figure.title
    full = figure.data[figure.data["set_aside"] == 40]
    assert full["rot_from"].tolist() == [-180.0]
    assert full["tilt_from"].tolist() == [pytest.approx(np.rad2deg(np.arccos(-1 / 3)))]


def test_the_gallery_shows_pairs_and_says_what_they_are(folder: Path):
    add_outliers(folder, between=3)
    groups = gallery(read(folder))
    assert [len(group.pairs) for group in groups] == [2, 2, 2, 2, 1]
    pair = groups[0].pairs[0]
    assert "Particle 61, no class" in pair.tip and "probability 0.0001" in pair.tip
    assert pair.image != pair.projection and pair.image.startswith("data:image/png")
    assert groups[4].pairs[0].name.startswith("class ")
    page = render(folder)
    assert page.count('class="pairs"') == 5 and "<b>mic3" not in page


def test_bad_images_are_listed(folder: Path):
    reasons = add_outliers(folder)
    row = {"particle": 7, "image": "000007@a.mrcs", "reason": "blank", "measure": "sd"}
    write_tsv(folder / "prepare/bad_images.tsv", pd.DataFrame([row | {"value": 0, "limit": 0.1}]))
    page = render(folder)
    assert (reasons != "image").all() and "<td>000007@a.mrcs</td>" in page
    assert "blank: sd 0" in page


def test_the_landscape_shows_those_that_take_part(folder: Path):
    add_subspace(folder, n=400)
    add_outliers(folder)
    path = folder / "runs/subspace/coordinates.npy"
    campaign = read(folder)
    z = np.load(path)
    z[~campaign.takes_part] = np.nan
    np.save(path, z)
    figure = landscape_figure(campaign)
    assert figure is not None and len(figure.data) == 360
    np.testing.assert_array_equal(
        figure.data["class"], campaign.particles["rlnClassNumber"][campaign.takes_part]
    )
    assert "of the spread" in figure.title


def test_its_figures_have_a_caption_for_snakemake(folder: Path, tmp_path: Path):
    add_outliers(folder)
    written = {path.stem for path in write_figures(CampaignFolder(folder), {}, tmp_path / "f")}
    known = {"fits", "aside-micrographs", "aside-views"}
    captions = Path("workflow/report/figures.rst").read_text(encoding="utf-8")
    assert known <= written
    assert known | {"fits-classes"} <= set(re.findall(r'"([\w-]+)":', captions))
