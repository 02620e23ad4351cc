"""Fit of particles to volumes near their pose: amplitude, noise, coordinates of the pose."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.classify.fit import Fit, fit_particles, make_target
from emjax.classify.pose_error import PoseError
from emjax.classify.pose_search import step_poses
from emjax.imaging.crop import crop_images, grid_for
from emjax.imaging.particles import weights_of
from emjax.imaging.phases import shift_phases
from emjax.imaging.projector import make_slices, slice_volume
from tests.classify.double import make_data


@pytest.fixture(autouse=True)
def double():
    """Everything here in double precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(name="data")
def some_data():
    """Particles, a volume and its mask, and the target made of them."""
    particles, mean, mask = make_data("null")
    return particles, mean, mask, make_target(mean[None], mask, particles)


def sliced(particles, volumes) -> np.ndarray:
    """CPV of each volume at each pose; real and imaginary parts."""
    slices = make_slices(jnp.asarray(particles.rotations), particles.grid)
    weights = weights_of(particles, particles.grid)
    pixels = np.stack([np.asarray(weights * slice_volume(v, slices)) for v in volumes], 1)
    return np.concatenate([pixels.real, pixels.imag], -1)


def with_pixels(particles, pixels):
    """Particles whose images have these real and imaginary parts."""
    half = pixels.shape[-1] // 2
    return replace(particles, images=pixels[:, :half] + 1j * pixels[:, half:])


def orthogonal_noise(particles, target, seed=0) -> np.ndarray:
    """Unit noise without what lies along the model or its derivatives."""
    known = np.swapaxes(sliced(particles, [*target.volumes, *target.derivatives]), 1, 2)
    noise = np.random.default_rng(seed).normal(size=known.shape[:2])
    basis = np.linalg.qr(known)[0]
    return noise - np.einsum("ntm,nsm,ns->nt", basis, basis, noise)


def test_the_likelihood_ratio_is_that_of_the_amplitude_and_noise_that_are_there(data):
    particles, _, _, target = data
    model = sliced(particles, target.volumes)[:, 0]
    amplitude = np.linspace(0.3, 2.5, particles.n)
    noise = orthogonal_noise(particles, target)
    found = fit_particles(with_pixels(particles, amplitude[:, None] * model + noise), target)
    np.testing.assert_allclose(found.amplitude[:, 0], amplitude, rtol=1e-6)
    np.testing.assert_allclose(found.coordinates, 0, atol=1e-6)
    # Two variances, each of the maximum likelihood: without the particle, and with it.
    without = ((amplitude[:, None] * model + noise) ** 2).mean(1)
    ratio = 0.5 * noise.shape[1] * np.log(without / (noise**2).mean(1))
    np.testing.assert_allclose(found.log_likelihood_ratio, ratio, rtol=1e-6)
    np.testing.assert_allclose(found.best, np.sqrt(2 * ratio), rtol=1e-6)


def test_a_particle_of_the_opposite_contrast_fits_worse_than_none(data):
    particles, _, _, target = data
    noise = orthogonal_noise(particles, target)
    model = sliced(particles, target.volumes)[:, 0]
    found = fit_particles(with_pixels(particles, noise - model), target)
    assert (found.amplitude < 0).all() and (found.score < 0).all()
    assert (found.log_likelihood_ratio < 0).all()


def test_the_noise_scale_is_the_images_own(data):
    particles, _, _, target = data
    model = sliced(particles, target.volumes)[:, 0]
    # Weak enough that three times as much lies within the amplitudes of the prior.
    noise = np.random.default_rng(1).normal(size=model.shape)
    pixels = 0.6 * model + 0.3 * noise
    one = fit_particles(with_pixels(particles, pixels), target)
    three = fit_particles(with_pixels(particles, 3 * pixels), target)
    inside = (one.amplitude[:, 0] > 0.3) & (one.amplitude[:, 0] < 0.9)
    assert inside.mean() > 0.9
    for name, factor in (("score", 1), ("amplitude", 3), ("coordinates", 1)):
        before, after = (getattr(found, name)[inside] for found in (one, three))
        np.testing.assert_allclose(after, factor * before, rtol=1e-5, atol=1e-7)


def test_a_scale_found_before_changes_nothing(data):
    particles, _, _, target = data
    scaled = replace(particles, scale=np.linspace(0.1, 4, particles.n))
    one, other = (fit_particles(p, target) for p in (particles, scaled))
    np.testing.assert_array_equal(one.score, other.score)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("degrees", [1.0, -1.0])
def test_a_step_turns_the_pose_to_the_truth(data, axis, degrees):
    particles, mean, mask, _ = data
    width = PoseError(2.0, 6.0)
    target = make_target(mean[None], mask, particles, width)
    noise = 1e-2 * np.random.default_rng(2).normal(size=(particles.n, 2 * len(particles.grid.kx)))
    images = with_pixels(particles, sliced(particles, target.volumes)[:, 0] + noise)
    off = Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()
    wrong = replace(images, rotations=particles.rotations @ off)
    found = fit_particles(wrong, target)
    u = np.median(found.coordinates[:, 0], 0)
    # About the axes of the map; interpolation in a box of 18 voxels costs some of it.
    expected = np.zeros(6)
    expected[3 + axis] = degrees / width.rotation
    np.testing.assert_allclose(u, expected, atol=0.15)
    moves = np.zeros((particles.n, 2))
    rotations, moves = step_poses(wrong.rotations, moves, found, width)
    error = Rotation.from_matrix(np.swapaxes(rotations, 1, 2) @ particles.rotations)
    assert np.degrees(np.median(error.magnitude())) < 0.3
    assert np.median(np.abs(moves)) < 0.5


@pytest.mark.parametrize("origin", [(6.0, 0.0), (0.0, 6.0), (-4.0, 3.0)])
def test_a_step_moves_the_origin_to_the_truth(data, origin):
    particles, mean, mask, _ = data
    width = PoseError(2.0, 6.0)
    target = make_target(mean[None], mask, particles, width)
    clean = with_pixels(particles, sliced(particles, target.volumes)[:, 0])
    phases = shift_phases(-jnp.asarray([origin]), particles.grid, particles.extent)
    noise = np.random.default_rng(3).normal(size=(2, *clean.images.shape)) * 1e-2
    # A particle at minus its origin, given as if it were in the centre.
    images = replace(clean, images=clean.images * np.asarray(phases) + noise[0] + 1j * noise[1])
    found = fit_particles(images, target)
    _, moves = step_poses(images.rotations, np.zeros((particles.n, 2)), found, width)
    np.testing.assert_allclose(np.median(moves, 0), origin, atol=0.7)
    # From there, what is found is nothing, and the fit is that of the particle in the centre.
    there = np.tile(origin, (particles.n, 1))
    moved = fit_particles(images, target, there)
    np.testing.assert_allclose(np.median(moved.coordinates[:, 0, :3], 0), 0, atol=0.02)
    assert (moved.best > found.best).all()


def test_moves_add_to_relions_origins(simulation):
    grid = grid_for(32, simulation.pixel_size, 32.0)
    none = np.zeros(40, np.int32)
    added = np.random.default_rng(4).normal(0, 10, (40, 2)).astype(np.float32)

    def crop(shifts):
        out = np.empty((40, len(grid.kx)), np.complex64)
        crop_images(
            lambda rows: simulation.images[rows], shifts, none, simulation.pixel_size, grid, out
        )
        return out

    centred = crop(simulation.shifts[:40])
    extent = 32 * simulation.pixel_size
    moved = crop(simulation.shifts[:40] - added) * np.asarray(
        shift_phases(jnp.asarray(added), grid, extent)
    )
    np.testing.assert_allclose(moved, centred, atol=1e-3 * np.abs(centred).max())


def test_chunks_and_order_change_nothing(data, monkeypatch):
    particles, _, _, target = data
    whole = fit_particles(particles, target)
    monkeypatch.setattr("emjax.classify.fit.CHUNK", 32)
    rows = np.random.default_rng(5).permutation(particles.n)
    pieces = fit_particles(particles.subset(rows), target)
    np.testing.assert_allclose(pieces.score, whole.score[rows], rtol=1e-6)


def test_each_volume_has_its_own_score():
    particles, _, mask = make_data("states")
    from emjax.simulate.particles import phantom

    volumes = phantom(4, particles.box_size, 1).astype(np.float64)
    labels = np.random.default_rng(3).integers(4, size=particles.n)
    target = make_target(volumes, mask, particles)
    pixels = sliced(particles, target.volumes)[np.arange(particles.n), labels]
    noise = 0.1 * np.random.default_rng(6).normal(size=pixels.shape)
    found = fit_particles(with_pixels(particles, pixels + noise), target)
    assert found.score.shape == (particles.n, 4)
    assert np.mean(found.score.argmax(1) == labels) > 0.95


def test_the_best_of_several_scores_counts():
    score = np.array([[1.0, 3.0], [-2.0, -1.0]])
    found = Fit(score, np.zeros((2, 2)), np.zeros((2, 2, 6)))
    np.testing.assert_array_equal(found.best, [3, -1])
    np.testing.assert_array_equal(found.log_likelihood_ratio, [4.5, -0.5])
