"""First maps of a run beside each other."""

from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_json, write_json
from emjax.io.mrc.volume import write_volume
from emjax.report.campaign import Campaign
from emjax.report.starts import starts_figure
from tests.report.campaigns import make_campaign, read_config


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign whose runs of four classes left their first maps."""
    folder = make_campaign(tmp_path_factory.mktemp("starts") / "demo", n_particles=200)
    rng = np.random.default_rng(0)
    for seed in range(3):
        run = CampaignFolder(folder).run(f"em3d-K04-s{seed:03d}")
        for number in range(1, 5):
            volume = rng.normal(size=(16, 16, 16))
            volume[5] += number  # they differ most in this slice
            write_volume(run.initial_map(number), volume, 12.0)
        found = {
            "initial_difference": 0.05 + 0.01 * seed,
            "initial_differences": [0.04, 0.05, 0.06, 0.07],
            "initial_numbers": [2, 1, 3, 4],
        }
        write_json(run.metrics, read_json(run.metrics) | found)
    return folder


def test_the_best_run_is_shown_and_all_are_named(started: Path):
    figure = starts_figure(Campaign(CampaignFolder(started), read_config(started)))
    assert figure is not None
    assert figure.title == (
        "The initial maps of em3d-K04-s002 differ by 7.0 % (5.0 to 7.0 % in all 3 runs)"
    )
    # Of each class a slice and its difference from the mean.
    assert str(figure.drawing).count("<image") == 8
    assert "Class 4: differs by 7 %" in str(figure.drawing)
    assert len(figure.data) == 12


def test_a_run_can_be_named(started: Path):
    campaign = Campaign(CampaignFolder(started), read_config(started))
    figure = starts_figure(campaign, "em3d-K04-s000")
    assert figure is not None and "em3d-K04-s000 differ by 5.0 %" in figure.title
    assert starts_figure(campaign, "em3d-K06-s000") is None


def test_runs_without_first_maps_have_no_figure(campaign: Path):
    assert starts_figure(Campaign(CampaignFolder(campaign), read_config(campaign))) is None
