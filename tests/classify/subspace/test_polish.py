"""Full-volume iterations after the subspace."""

import numpy as np

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.pose_error import PoseError, nuisance_coefficients
from emjax.classify.subspace.basis import BasisOptions, fit_basis
from emjax.classify.subspace.polish import polish
from emjax.classify.subspace.volumes import class_coefficients
from tests.classify.double import start


def test_polishing_never_lowers_the_likelihood(states):
    particles, mean, mask = states
    operators = make_pixel_operators(particles)
    basis = fit_basis(operators, start(particles, mean, mask), mask, BasisOptions(2, 5))
    z = np.array([[1.0, 0], [-1, 0.5], [0, -1]])
    nuisance = nuisance_coefficients(mean, mask, particles.grid, 12.0, PoseError(1.0, 1.0))
    for used in (None, nuisance):
        result = polish(operators, class_coefficients(basis, z), np.full(3, 1 / 3), mask, 10, used)
        gains = np.diff(result.objective)
        assert len(gains) > 2 and gains.min() >= 0
        np.testing.assert_allclose(result.posteriors.sum(1), 1, atol=1e-6)
