"""Classes of maps judged by the half of the particles that they have not seen."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.classify.em3d import held_out
from emjax.classify.em3d.held_out import ClassMaps, fit_halves, judge_maps
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.operators.passes import make_engine
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.pose_error import PoseError, derivative_volumes
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import weights_of
from emjax.imaging.projector import make_slices, slice_volume

OPTIONS = Em3dOptions(online_epochs=0, full_iterations=12, anneal_until=4)


def judge(particles, mean, scene, **arguments):
    fits = fit_halves(particles, scene, [2, 3], 2, OPTIONS)
    masked = mean.volume * mean.solvent_mask
    return judge_maps(make_pixel_operators(particles), fits, masked, **arguments)


def test_no_half_of_the_images_is_held_in_memory(prepared, scene, monkeypatch):
    particles, given = (
        prepared[0],
        np.asarray(scene.mean_map) * np.array([0.9, 1.1]).reshape(2, 1, 1, 1),
    )
    seen = []

    def watched(part, *arguments):
        seen.append(part)
        return make_engine(part, *arguments)

    monkeypatch.setattr(held_out, "make_engine", watched)
    short = replace(OPTIONS, initial="input", full_iterations=1, start_resolution=None)
    fit_halves(particles, scene, [2], 1, short, initial_volumes=given)
    assert len(seen) == 2 and all(part.images is particles.images for part in seen)
    both = np.concatenate([part.rows for part in seen])
    assert np.array_equal(np.sort(both), np.arange(particles.n))


def test_gains_are_those_of_the_images(prepared):
    particles, mean = prepared
    rng = np.random.default_rng(0)
    masked = np.asarray(mean.volume * mean.solvent_mask)
    other = masked * (1 + 0.5 * rng.normal(size=masked.shape)).astype(np.float32)
    shares = np.array([0.7, 0.3])
    two = ClassMaps(np.stack([masked, other]), shares)
    fits = {half: {1: ClassMaps(masked[None], np.ones(1)), 2: two} for half in (1, 2)}
    operators = make_pixel_operators(particles)
    found = judge_maps(operators, fits, masked, scales=(0.0,))

    grid = particles.grid
    slices = make_slices(jnp.asarray(particles.rotations, jnp.float32), grid)
    models = [slice_volume(v, slices) for v in slicing_values(jnp.asarray(two.volumes), grid)]
    weights = weights_of(particles, grid)
    misfit = [jnp.sum(jnp.abs(particles.images - weights * m) ** 2, 1) for m in models]
    ell = -0.5 * np.asarray(jnp.stack(misfit, 1), np.float64)
    expected = np.logaddexp.reduce(ell + np.log(shares), 1) - ell[:, 0]
    # Sums of 900 particles' differences of numbers near 400, in single precision.
    np.testing.assert_allclose(found.classes.gains[1].value, expected.sum(), atol=0.5)
    assert found.pose_error is None


@pytest.mark.parametrize(
    ("n_classes", "options"),
    [
        ([1], {}),  # nothing to compare with
        ([2], {"particle_limit": 200}),  # most of a half-set takes no part in the iterations
    ],
)
def test_campaigns_with_little_to_judge(prepared, scene, n_classes, options):
    particles, mean = prepared
    short = replace(OPTIONS, full_iterations=1, start_resolution=None, **options)
    fits = fit_halves(particles, scene, n_classes, 1, short)
    assert all(sorted(fits[half]) == sorted({1, *n_classes}) for half in (1, 2))
    weights = [maps.class_weights for own in fits.values() for maps in own.values()]
    np.testing.assert_allclose([w.sum() for w in weights], 1, rtol=1e-6)
    masked = mean.volume * mean.solvent_mask
    found = judge_maps(make_pixel_operators(particles), fits, masked)
    assert found.classes.chosen in {1, *n_classes} and found.classes.reason


def test_classes_that_follow_the_poses_are_no_classes(prepared):
    """Poses are off by rotations about all axes, and two maps are rotated about one, either way."""
    particles, mean = prepared
    masked = np.asarray(mean.volume * mean.solvent_mask)
    error = np.random.default_rng(0).normal(0, 4, (particles.n, 3))
    turn = Rotation.from_rotvec(error, degrees=True).as_matrix()
    wrong = replace(particles, rotations=np.float32(particles.rotations @ turn))
    change = derivative_volumes(masked, particles.voxel_size, PoseError(4.0, 3.0))[5]
    two = ClassMaps(np.stack([masked + change, masked - change]), np.full(2, 0.5))
    fits = {half: {1: ClassMaps(masked[None], np.ones(1)), 2: two} for half in (1, 2)}
    operators = make_pixel_operators(wrong)
    assert judge_maps(operators, fits, masked, scales=(0.0,)).classes.chosen == 2
    found = judge_maps(operators, fits, masked)
    assert found.classes.chosen == 1 and not found.per_class
    assert found.pose_error is not None
    assert "follows the error of the poses" in found.classes.reason, found.classes
    assert "error of the poses" in found.record()["verdict"]


@pytest.mark.slow
def test_states_raise_the_likelihood_of_unseen_particles(prepared, scene):
    particles, mean = prepared
    found = judge(particles, mean, scene, blocks=np.arange(particles.n) // 30)
    assert found.classes.chosen == 3
    assert len(found.per_class) == 3 and all(loss.low > 0 for loss in found.per_class)
    assert found.pose_error is None  # the simulated poses are exact


@pytest.mark.slow
def test_one_state_alone_is_one_class(prepared, scene, simulation):
    particles, mean = prepared
    alone = particles.take(np.flatnonzero(simulation.states == 0))
    found = judge(alone, mean, scene)
    assert found.classes.chosen == 1 and not found.per_class
    assert "no number of classes" in found.classes.reason
