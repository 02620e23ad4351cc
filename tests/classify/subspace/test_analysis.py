"""The whole analysis on simulated particles: states found, poses that are off."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.metrics import adjusted_rand_score

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.analysis import analyse
from emjax.classify.subspace.mixture import assign, fit_seeds
from emjax.classify.subspace.recipes import SubspaceOptions
from emjax.classify.subspace.volumes import components_from_maps, to_maps

OPTIONS = SubspaceOptions(n_classes=(2, 3, 4), n_components=4, iterations=10, evidence_seeds=10)


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
