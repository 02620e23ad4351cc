"""Pose errors: derivatives of a map, and their integral in the likelihood."""

import jax
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

from emjax.classify.pose_error import PoseError, derivative_volumes, marginal_likelihoods


def test_derivatives_are_small_motions_of_the_map():
    grid = np.stack(np.meshgrid(*[np.arange(24) - 12] * 3, indexing="ij"), -1)[..., ::-1]

    def blob(turn, shift):
        centre = turn @ np.array([3.0, 1, -2]) + shift
        return np.exp(-np.sum((grid - centre) ** 2, -1) / 8)

    identity, zero = np.eye(3), np.zeros(3)
    width = PoseError(rotation=1.0, shift=0.5)
    derivatives = derivative_volumes(blob(identity, zero), 2.0, width, 2)
    for axis in range(3):
        step = np.eye(3)[axis] * 0.01
        # The content moves by −shift where the density's derivative is +d/dx.
        numeric = (blob(identity, zero - step) - blob(identity, zero + step)) / 0.02 * 0.25
        np.testing.assert_allclose(derivatives[axis], numeric, atol=3e-4)
        turn = Rotation.from_rotvec(step).as_matrix()
        numeric = (blob(turn, zero) - blob(turn.T, zero)) / 0.02 * np.deg2rad(1.0)
        sign = np.sign(np.sum(numeric * derivatives[3 + axis]))
        np.testing.assert_allclose(sign * derivatives[3 + axis], numeric, atol=3e-4)
    assert derivatives.shape[0] == 27
    assert gaussian_filter(derivatives[6], 1).std() > 0


def test_likelihoods_are_those_of_images_with_the_errors_covariance():
    rng = np.random.default_rng(0)
    pixels, models, nuisance = (rng.normal(size=(2, *shape)) for shape in ((12,), (3, 12), (4, 12)))
    with jax.enable_x64(True):
        ell, rest = marginal_likelihoods(*map(jax.numpy.asarray, (pixels, models, nuisance)))
        exact, whole = marginal_likelihoods(
            *map(jax.numpy.asarray, (pixels, models, nuisance[:, :0]))
        )
    for i in range(2):
        law = multivariate_normal(np.zeros(12), np.eye(12) + nuisance[i].T @ nuisance[i])
        plain = multivariate_normal(np.zeros(12), np.eye(12))
        for k in range(3):
            constant = 0.5 * pixels[i] @ pixels[i] + 6 * np.log(2 * np.pi)
            residual = pixels[i] - models[i, k]
            np.testing.assert_allclose(ell[i, k], law.logpdf(residual) + constant, rtol=1e-10)
            np.testing.assert_allclose(exact[i, k], plain.logpdf(residual) + constant, rtol=1e-10)
            np.testing.assert_allclose(whole[i, k], residual, rtol=1e-12)
            # At the most probable error, what is left is Σ⁻¹ times the residual.
            np.testing.assert_allclose(rest[i, k], np.linalg.solve(law.cov, residual), atol=1e-10)


def test_a_width_of_zero_is_exact_poses():
    width = PoseError(1.5, 2.0)
    assert width.scaled(0.0) is None
    assert width.scaled(2.0) == PoseError(3.0, 4.0)
