"""g and G of images against slices, pose errors eliminated."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.pose_error import PoseError, nuisance_coefficients
from emjax.classify.subspace.basis import BasisOptions, fit_basis
from emjax.classify.subspace.mixture import posteriors_and_gain
from emjax.classify.subspace.projection import marginalise, nuisance_modes, project_statistics
from emjax.classify.subspace.statistics import Statistics, pack
from emjax.classify.subspace.volumes import class_coefficients
from emjax.imaging.particles import weights_of
from emjax.imaging.projector import make_slices, slice_volume
from tests.classify.double import make_data, start


def test_statistics_give_the_likelihood_of_the_images(states):
    check_exactness(*states, tolerance=1e-10)


def test_statistics_are_exact_in_single_precision():
    with jax.enable_x64(True):
        particles, mean, mask = make_data("states")
    single = replace(
        particles,
        images=particles.images.astype(np.complex64),
        rotations=particles.rotations.astype(np.float32),
        ctf=jax.tree.map(lambda x: x.astype(np.float32), particles.ctf),
        scale=particles.scale.astype(np.float32),
        noise_power=particles.noise_power.astype(np.float32),
    )
    check_exactness(single, mean.astype(np.float32), mask.astype(np.float32), tolerance=1e-4)


def check_exactness(particles, mean, mask, tolerance):
    """ℓ from (g, G) against −½|F − CPV|² + ½|F − CPμ|² from slices of the class volumes."""
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(3, 3))
    statistics = project_statistics(operators, basis)[0]
    z = np.random.default_rng(1).normal(size=(2, 3)).astype(statistics.features.dtype)
    volumes = class_coefficients(basis, z)
    slices = make_slices(jnp.asarray(particles.rotations), particles.grid)
    weights = weights_of(particles, particles.grid)

    def misfit(values):
        return jnp.sum(jnp.abs(particles.images - weights * slice_volume(values, slices)) ** 2, 1)

    expected = 0.5 * np.stack([misfit(basis.mean) - misfit(v) for v in volumes], 1)
    quadratic = np.einsum("ki,nij,kj->nk", z, statistics.quadratic(), z)
    found = statistics.linear() @ z.T - 0.5 * quadratic
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.ptp(expected))


def test_marginalising_is_the_integral_over_the_pose_error():
    """Against the Gaussian integral written out with the covariance of the image."""
    rng = np.random.default_rng(0)
    pixels, residual = rng.normal(size=(40, 5)), rng.normal(size=40)
    linear, quadratic = pixels.T @ residual, pixels.T @ pixels
    scale = 0.7
    orders = np.array([1.0, 2.0])
    g, big_g, gained = marginalise(linear[None], quadratic[None], 3, scale, orders)
    nuisance = pixels[:, 3:] * scale**orders
    covariance = np.eye(40) + nuisance @ nuisance.T
    z = np.array([0.3, -0.2, 0.5])

    def log_density(x):
        return -0.5 * x @ np.linalg.solve(covariance, x) - 0.5 * np.linalg.slogdet(covariance)[1]

    expected = log_density(residual - pixels[:, :3] @ z) + 0.5 * residual @ residual
    found = g[0] @ z - 0.5 * z @ big_g[0] @ z + gained[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_exact_width_zero_changes_nothing(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(2, 2))
    nuisance = nuisance_coefficients(mean, mask, particles.grid, 12.0, PoseError(), 2)
    plain = project_statistics(operators, basis)[0]
    zero, wide = project_statistics(operators, basis, nuisance, (0.0, 1.0))
    np.testing.assert_allclose(zero.features, plain.features, rtol=1e-10)
    assert (wide.quadratic()[:, 0, 0] < plain.quadratic()[:, 0, 0]).all()
    _, gain = posteriors_and_gain(wide, np.zeros((1, 2)), np.ones(1))
    np.testing.assert_allclose(gain, 0, atol=1e-12)


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
