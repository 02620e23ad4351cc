"""The report of classes rebalanced alone."""

import re
from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_tsv
from emjax.report.campaign import Campaign
from emjax.report.compared import Classes
from emjax.report.page import write_figures
from tests.report.rebalance_files import make_rebalance

CONFIG = {"job": "rebalance", "campaign": "alone"}


def tabs_of(page: str) -> list[str]:
    return re.findall(r'role="tab" id="tab-(\w+)"', page)


def test_the_head_says_what_was_done_and_the_tabs_are_the_jobs_own(tmp_path: Path):
    page = make_rebalance(tmp_path / "alone")
    assert "11 class averages fall into 3 superclasses." in page
    assert "left out: class 12 (no particle)." in page
    assert "at most" in page and "What was found" not in page
    assert tabs_of(page) == ["superclasses", "affinity", "sizes", "provenance"]
    # Options that the job does not read are not shown.
    assert "rebalance.factor" in page and "consensus.fdr" not in page


def test_every_class_has_a_picture_on_both_axes_and_in_its_superclass(tmp_path: Path):
    page = make_rebalance(tmp_path / "alone")
    for name in ("affinity", "affinity-sorted"):
        figure = page.split(f'id="figure-{name}"')[1].split("</figure>")[0]
        assert figure.count("<image ") == 12 and figure.count("<use ") == 24
    sorted_matrix = page.split('id="figure-affinity-sorted"')[1].split("</figure>")[0]
    assert sorted_matrix.count('class="square"') == 3
    assert page.count('class="large"') == 3
    assert len(re.findall(r'<figure data-tip="Class \d+,', page)) == 12


def test_maps_are_shown_by_three_slices(tmp_path: Path):
    page = make_rebalance(tmp_path / "alone", in_3d=True)
    assert "11 classes fall into 3 superclasses." in page
    assert page.count('class="large"') == 9


@pytest.mark.parametrize("n_classes", [1, 2, 3, 61, 200])
def test_any_number_of_classes_has_a_page(tmp_path: Path, n_classes: int):
    if n_classes == 1:
        # Of one class, that has no particle, nothing is left.
        with pytest.raises(ValueError, match="every reference is excluded"):
            make_rebalance(tmp_path / "alone", n_classes, 1)
        return
    page = make_rebalance(tmp_path / "alone", n_classes, min(n_classes - 1, 5))
    assert f'data-tip="Class {n_classes}, 0 particles, left out"' in page
    # Thousands of cells are one picture.
    assert page.count('<rect class="') + page.count("Classes 1 and") < 2000


def test_the_order_keeps_superclasses_together_and_classes_of_none_last(tmp_path: Path):
    make_rebalance(tmp_path / "alone")
    campaign = Campaign(CampaignFolder(tmp_path / "alone"), CONFIG)
    classes = Classes.of(campaign)
    assert classes is not None
    table = read_tsv(campaign.folder.rebalance.superclasses)
    found = table["superclass"].to_numpy()[classes.sorted()]
    np.testing.assert_array_equal(found, [1] * 4 + [2] * 4 + [3] * 3 + [0])


def test_figures_are_written_one_by_one(tmp_path: Path):
    make_rebalance(tmp_path / "alone")
    written = write_figures(CampaignFolder(tmp_path / "alone"), CONFIG, tmp_path / "figures")
    names = {path.stem for path in written}
    assert names == {
        "affinity", "affinity-sorted", "affinity-tree", "superclass-sizes", "class-sizes",
    }  # fmt: skip
