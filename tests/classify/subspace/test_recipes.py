"""The whole analysis on simulated particles: states found, one state left alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.metrics import adjusted_rand_score

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.analysis import analyse
from emjax.classify.subspace.mixture import assign, fit_seeds
from emjax.classify.subspace.projection import nuisance_modes
from emjax.classify.subspace.recipes import SubspaceOptions
from emjax.classify.subspace.region import variable_region
from emjax.classify.subspace.statistics import Statistics, pack
from emjax.classify.subspace.volumes import (
    components_from_maps,
    components_from_states,
    fit_variability,
    to_maps,
    volumes_of,
)

OPTIONS = SubspaceOptions(n_classes=(2, 3, 4), n_components=4, iterations=10, evidence_seeds=10)


@pytest.fixture(scope="module")
def operators(prepared):
    return make_pixel_operators(prepared[0])


@pytest.fixture(scope="module")
def analysis(prepared, operators):
    _, mean = prepared
    return analyse(operators, mean, mean.solvent_mask, OPTIONS)


@pytest.mark.slow
def test_the_simulated_states_are_found_and_counted(analysis, simulation):
    assert analysis.judgement.chosen.evidence.classes.chosen == 3
    assert analysis.pose_error is None  # the simulated poses are exact
    campaign = fit_seeds(analysis.statistics, 3, range(20))
    best = [campaign.best()]
    labels = assign(analysis.statistics, campaign.coordinates[best], campaign.class_weights[best])
    assert adjusted_rand_score(simulation.states, labels[:, 0]) > 0.9


@pytest.mark.slow
def test_starts_for_other_methods_are_the_states(prepared, operators, simulation):
    _, mean = prepared
    basis, statistics = fit_variability(operators, mean.volume, mean.solvent_mask, 3, 8)
    maps = volumes_of(basis, statistics, operators.grid, 3, seed=1)
    again = volumes_of(basis, statistics, operators.grid, 3, seed=1)
    np.testing.assert_array_equal(maps, again)
    assert maps.shape == (3, *mean.volume.shape)
    # The maps differ where the states do: much more between classes than within the noise.
    spread = maps.std(0)[mean.solvent_mask > 0.9]
    assert spread.max() > 10 * np.median(spread)


@pytest.mark.slow
def test_given_components_serve_as_the_basis(prepared, operators, analysis, simulation):
    _, mean = prepared
    maps = to_maps(analysis.basis.components, operators.grid)
    given = components_from_maps(7.0 * maps, mean.solvent_mask, operators.grid)
    options = SubspaceOptions(
        n_classes=(2, 3, 4), n_components=len(maps), iterations=0, pose_error="off",
        evidence_seeds=10,
    )  # fmt: skip
    found = analyse(operators, mean, mean.solvent_mask, options, components=given)
    assert [c.name for c in found.judgement.candidates] == ["mask"]
    assert found.judgement.chosen.evidence.classes.chosen == 3
    assert len(found.nuisance_modes) and not any(m["nuisance"] for m in found.nuisance_modes)


@pytest.mark.slow
def test_wrong_poses_taken_as_exact_are_told(prepared):
    particles, mean = prepared
    off = Rotation.from_rotvec(np.random.default_rng(0).normal(0, 0.03, (particles.n, 3)))
    wrong = replace(particles, rotations=np.float32(particles.rotations @ off.as_matrix()))
    options = SubspaceOptions(
        n_classes=(2,), n_components=5, iterations=6, pose_error="off", evidence_seeds=3,
        regions=False, within_classes=False,
    )  # fmt: skip
    found = analyse(make_pixel_operators(wrong), mean, mean.solvent_mask, options)
    named = [mode["component"] for mode in found.nuisance_modes if mode["nuisance"]]
    assert found.pose_error is None
    assert 0 < len(named) < len(found.nuisance_modes)  # the states' components are not among them


def test_states_of_another_program_become_their_differences(prepared, operators):
    _, mean = prepared
    rng = np.random.default_rng(0)
    extra = rng.normal(size=(2, *mean.volume.shape)) * mean.solvent_mask
    states = np.stack([mean.volume, mean.volume + extra[0], mean.volume + extra[1]])
    components = components_from_states(states, mean.solvent_mask, operators.grid)
    assert len(components) == 2
    with pytest.raises(ValueError, match="at least 2"):
        components_from_states(states[:1], mean.solvent_mask, operators.grid)


def test_a_region_is_found_where_a_component_stands_out():
    rng = np.random.default_rng(1)
    mask = np.ones((24, 24, 24))
    noise = rng.normal(size=(2, 24, 24, 24))
    assert variable_region(noise, mask, 8.0)[0] is None
    noise[1, 10:14, 10:14, 10:14] += 40
    window, local = variable_region(noise, mask, 8.0)
    assert window is not None and local.tolist() == [False, True]
    assert window[12, 12, 12] > 0.9 and window[2, 2, 2] < 0.2


def test_components_that_follow_the_poses_are_named():
    rng = np.random.default_rng(2)
    n = 2000
    power = np.zeros((n, 2, 2))
    power[:, 0, 0], power[:, 1, 1] = 20.0, 20.0
    z = np.stack([rng.normal(size=n), rng.choice([-1.0, 1.0], n)], 1)
    linear = 20 * z + np.sqrt(20) * rng.normal(size=(n, 2))
    exact = Statistics(pack(linear, power), np.zeros(n), 2)
    # Eliminating the pose error leaves nothing of the first component.
    rest = linear.copy()
    rest[:, 0] *= 0.01
    power[:, 0, 0] *= 0.01
    marginalised = Statistics(pack(rest, power), np.zeros(n), 2)
    first, second = nuisance_modes(exact, marginalised)
    assert first["nuisance"] and first["explained_by_pose"] > 0.9
    assert not second["nuisance"] and second["kurtosis"] < -1  # two states lie apart
