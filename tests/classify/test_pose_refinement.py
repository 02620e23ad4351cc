"""Pose refinement: width and evidence of the error, and poses that come nearer to the truth."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

from emjax.classify import pose_refinement
from emjax.classify.fit import as_real, make_target
from emjax.classify.pose_error import PoseError
from emjax.classify.pose_refinement import describe_poses, find_width, refine_poses
from emjax.imaging.particles import weights_of
from emjax.imaging.prepare import PrepareOptions, prepare
from emjax.imaging.projector import make_slices, slice_volume
from emjax.simulate.particles import phantom, simulate
from tests.classify.double import make_data

OPTIONS = PrepareOptions(32.0)
ERROR = PoseError(3.0, 4.0)  # degrees, Å


def shaken(simulation, width, seed=5):
    """Images of a simulation with poses off by a normal error."""
    rng = np.random.default_rng(seed)
    n = len(simulation.rotations)
    turn = Rotation.from_rotvec(np.deg2rad(width.rotation) * rng.normal(size=(n, 3))).as_matrix()
    images = simulation.aligned()
    shifts = images.shifts + width.shift * rng.normal(size=(n, 2))
    return replace(images, rotations=images.rotations @ turn, shifts=shifts)


def angles(a, b):
    """Between rotations, in degrees."""
    cosine = (np.einsum("nij,nij->n", np.asarray(a, float), np.asarray(b, float)) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.fixture(scope="module")
def one_state():
    """800 particles of one state at fair signal."""
    return simulate(phantom(1, 32, seed=1), 800, seed=3, pixel_size=8.0, snr=1.0)


@pytest.fixture(scope="module")
def off(one_state):
    """The same with poses off by ERROR."""
    return prepare(shaken(one_state, ERROR), OPTIONS)


def test_width_is_found_and_exact_poses_are_left_alone(one_state, off):
    width, gain = find_width(off, one_state.micrograph)
    assert width is not None and gain.low > 0
    # Maps blurred by the error show less of it; refinement finds the rest.
    assert 0.6 < width.rotation / ERROR.rotation < 1.2
    assert 0.6 < width.shift / ERROR.shift < 1.2
    exact = prepare(one_state.aligned(), OPTIONS)
    images = exact.particles.images.copy()
    kept, found = refine_poses(exact, "auto", OPTIONS, one_state.micrograph)
    assert kept is exact and found.width is None and found.gain is not None
    assert found.gain.high < 0
    np.testing.assert_array_equal(kept.particles.images, images)
    assert describe_poses(found) == ["no error of the poses shows in the images"]


def test_poses_come_nearer_and_images_are_centred_there(one_state, off):
    images = off.particles.images.copy()
    given = replace(off, particles=replace(off.particles, images=images))
    refined, found = refine_poses(given, "auto", OPTIONS, one_state.micrograph)
    before, after = (
        np.sqrt(np.mean(angles(p.particles.rotations, one_state.rotations) ** 2))
        for p in (off, refined)
    )
    assert after < 0.7 * before
    before, after = (
        np.sqrt(np.mean(np.sum((p.shifts - one_state.shifts) ** 2, 1))) for p in (off, refined)
    )
    assert after < 0.7 * before
    assert found.rotation > 2 and "refined by" in describe_poses(found)[0]
    # The same images as if the particles had come with these origins, but for the noise's level.
    again = prepare(
        replace(one_state.aligned(), rotations=refined.particles.rotations, shifts=refined.shifts),
        OPTIONS,
    )
    a, b = refined.particles.images, again.particles.images
    correlation = np.abs(np.vdot(a, b)) / np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real)
    assert correlation > 0.9999
    assert np.corrcoef(refined.mean.volume.ravel(), again.mean.volume.ravel())[0, 1] > 0.999


def test_off_returns_the_particles_as_they_are(off):
    same, found = refine_poses(off, "off", OPTIONS)
    assert same is off
    assert found.record() == {
        "pose_error": None, "gain": None, "moved_degrees": 0.0, "moved_angstrom": 0.0,
    }  # fmt: skip
    assert describe_poses(found) == []


def test_images_without_a_particle_stay_near_where_they_were(off):
    rng = np.random.default_rng(0)
    images = off.particles.images.copy()
    blank = np.arange(40)
    noise = rng.normal(size=(2, 40, images.shape[1]))
    images[blank] = noise[0] + 1j * noise[1]
    given = replace(off, particles=replace(off.particles, images=images))
    width = PoseError(1.0, 1.0)
    refined, _ = refine_poses(given, width, OPTIONS)
    moved = angles(refined.particles.rotations, off.particles.rotations)
    # Three axes of a prior of one degree: the chance of more than 4° is 0.1 %.
    assert np.quantile(moved[blank], 0.95) < 4
    assert np.median(moved[blank]) < np.median(moved[100:])


def test_evidence_is_the_integral_over_the_six_coordinates():
    with jax.enable_x64(True):
        particles, mean, mask = make_data("states")
        grid = particles.grid
        target = make_target(mean[None], mask, particles, PoseError(2.0, 3.0))
        weights = weights_of(particles, grid)
        rotations = jnp.asarray(particles.rotations)
        offset = jnp.asarray(np.random.default_rng(1).normal(size=(particles.n, 6)))
        step = pose_refinement._step(
            jnp.asarray(particles.images), weights, rotations, offset, target, grid
        )
        slices = make_slices(rotations, grid)
        model, *tangents = (
            np.asarray(as_real(weights * slice_volume(v, slices)))
            for v in (target.volumes[0], *target.derivatives)
        )
        pixels = np.asarray(as_real(jnp.asarray(particles.images)))
    move, variance, gain = map(np.asarray, step)
    for i in range(4):
        tangent = np.stack([t[i] for t in tangents])
        residual = pixels[i] - model[i]
        n = len(residual)
        law = multivariate_normal(np.zeros(n), np.eye(n) + tangent.T @ tangent)
        exact = multivariate_normal(np.zeros(n), np.eye(n))
        np.testing.assert_allclose(
            gain[i], law.logpdf(residual) - exact.logpdf(residual), rtol=1e-8
        )

        def posterior(u, tangent=tangent, residual=residual, i=i):
            left, there = residual - u @ tangent, np.asarray(offset[i]) + u
            return -0.5 * left @ left - 0.5 * there @ there

        # The step leads to the maximum: no slope is left there.
        slope = approx_fprime(move[i], posterior, 1e-6)
        np.testing.assert_allclose(slope, 0, atol=1e-3)
        curvature = tangent @ tangent.T + np.eye(6)
        np.testing.assert_allclose(variance[i], np.diag(np.linalg.inv(curvature)), rtol=1e-8)
