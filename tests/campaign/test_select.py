"""Particles of classes, as sure as one wants them."""

from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.select import Wanted, consensus_file, select_particles, write_selection
from emjax.errors import InputError
from emjax.io.cryosparc.tables import read_cs
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.io.star.tables import read_star

CLASSES = np.arange(300) % 4
STABILITY = np.linspace(0, 1, 300).astype(np.float32)
POSTERIOR = np.linspace(1, 0.3, 300).astype(np.float32)
GROUPS = np.arange(300) % 3 + 1
COLUMNS = {
    "rlnClassNumber": CLASSES,
    "rlnMaxValueProbDistribution": np.full(300, 0.1, np.float32),
    "emjaxStability": STABILITY,
    "emjaxClassPosterior": POSTERIOR,
    "emjaxIntersection": GROUPS,
}


@pytest.fixture(params=[".star", ".cs"])
def classified(request: pytest.FixtureRequest, particles: Path, tmp_path: Path) -> Path:
    """A consensus file in either format."""
    path = tmp_path / f"consensus{request.param}"
    write_particles(path, read_particles(particles / "particles.star"), COLUMNS)
    return path


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(classes=(1, 3)), np.isin(CLASSES, [1, 3])),
        (Wanted(classes=(0,)), CLASSES == 0),
        (Wanted(min_stability=0.5), STABILITY >= 0.5),
        (Wanted(min_posterior=0.7), POSTERIOR >= 0.7),
        (Wanted((2,), 0.25, 0.5), (CLASSES == 2) & (STABILITY >= 0.25) & (POSTERIOR >= 0.5)),
    ],
)
def test_the_wanted_particles_are_kept_in_their_order(
    classified: Path, wanted: Wanted, expected: np.ndarray
):
    kept = select_particles(classified, wanted)
    everything = read_particles(classified, check_images=False)
    assert kept.identity.tolist() == everything.identity[expected].tolist()
    assert np.array_equal(kept.index_in_stack, np.flatnonzero(expected))


@pytest.mark.parametrize("suffix", [".star", ".cs"])
def test_a_selection_keeps_classes_and_stabilities_in_both_formats(
    classified: Path, tmp_path: Path, suffix: str
):
    keep = np.flatnonzero(CLASSES == 3)
    target = tmp_path / f"three{suffix}"
    write_selection(target, select_particles(classified, Wanted(classes=(3,))))
    assert np.array_equal(read_labels(target)[1], np.full(len(keep), 2))
    if suffix == ".cs":
        records = read_cs(target)
        assert np.array_equal(records["emjax/stability"], STABILITY[keep])
        assert np.array_equal(records["emjax/class_posterior"], POSTERIOR[keep])
        assert set(records["alignments3D/class"].tolist()) == {2}
    elif classified.suffix == ".star":
        table = read_star(target)["particles"]
        assert np.array_equal(table.numbers("emjaxStability").astype("f4"), STABILITY[keep])
        assert table.labels == read_star(classified)["particles"].labels


def test_particles_of_a_run_are_selected_by_their_own_posterior(particles: Path, tmp_path: Path):
    path = tmp_path / "run.star"
    columns = {"rlnClassNumber": CLASSES, "rlnMaxValueProbDistribution": POSTERIOR}
    write_particles(path, read_particles(particles / "particles.star"), columns)
    assert select_particles(path, Wanted(min_posterior=0.7)).n == (POSTERIOR >= 0.7).sum()
    with pytest.raises(InputError, match="no column emjaxIntersection"):
        select_particles(path, Wanted(groups=(1,)))
    with pytest.raises(InputError, match="no column emjaxStability"):
        select_particles(path, Wanted(min_stability=0.5))


def test_what_is_not_there_is_an_error(classified: Path, tmp_path: Path):
    with pytest.raises(InputError, match="--classes: found 7, expected some of 0, 1, 2, 3"):
        select_particles(classified, Wanted(classes=(7,)))
    with pytest.raises(InputError, match="found none of 300"):
        select_particles(classified, Wanted(min_stability=1.5))
    with pytest.raises(InputError, match="found the file that is read"):
        write_selection(classified, select_particles(classified, Wanted(classes=(1,))))
    with pytest.raises(InputError, match="found no consensus"):
        consensus_file(CampaignFolder(tmp_path / "nothing"), ".star")


def test_a_group_is_an_intersection(classified: Path, tmp_path: Path):
    first, second = (select_particles(classified, Wanted(groups=(k,))) for k in (1, 3))
    assert np.array_equal(second.index_in_stack, np.flatnonzero(GROUPS == 3))
    assert first.n == (GROUPS == 1).sum()
    both = select_particles(classified, Wanted(classes=(3,), groups=(1, 3)))
    assert both.n == (np.isin(GROUPS, (1, 3)) & (CLASSES == 3)).sum()
    for absent in (9, 0):
        expected = f"--group: found {absent}, expected an id of 1 to 3"
        with pytest.raises(InputError, match=expected):
            select_particles(classified, Wanted(groups=(absent,)))
    write_selection(tmp_path / "group.cs", second)
    assert set(read_cs(tmp_path / "group.cs")["emjax/intersection"].tolist()) == {3}


def test_the_consensus_file_is_found_in_the_format_there_is(particles: Path, tmp_path: Path):
    campaign = CampaignFolder(tmp_path / "results/demo")
    source = read_particles(particles / "particles.star")
    write_particles(campaign.consensus.particles.star, source, COLUMNS)
    assert consensus_file(campaign, ".cs") == campaign.consensus.particles.star
