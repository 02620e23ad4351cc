"""Statistics of particles against plain formulas."""

import numpy as np

from emjax.classify.subspace.mixture import posteriors_and_gain
from emjax.classify.subspace.statistics import change_basis, latent_means, latent_mix, pack, unpack


def test_packing_is_its_own_inverse(three_classes):
    statistics, _ = three_classes
    again = pack(statistics.linear(), statistics.quadratic())
    np.testing.assert_array_equal(again, statistics.features)
    square = unpack(np.array([[1.0, 2, 3, 4, 5, 6]]), 3)[0]
    np.testing.assert_array_equal(square, [[1, 2, 4], [2, 3, 5], [4, 5, 6]])


def test_leading_components_are_the_statistics_of_the_smaller_basis(three_classes):
    statistics, _ = three_classes
    small = statistics.leading(2)
    np.testing.assert_array_equal(small.quadratic(), statistics.quadratic()[:, :2, :2])
    np.testing.assert_array_equal(small.linear(), statistics.linear()[:, :2])


def test_latent_means_solve_their_system(three_classes):
    statistics, _ = three_classes
    means = latent_means(statistics)
    left = np.einsum("nij,nj->ni", statistics.quadratic(), means) + means
    np.testing.assert_allclose(left, statistics.linear(), atol=1e-3)


def test_a_change_of_basis_changes_no_likelihood(three_classes):
    statistics, _ = three_classes
    mix = latent_mix(statistics)
    changed = change_basis(statistics, mix)
    z = np.random.default_rng(0).normal(size=(2, 3))
    _, gain = posteriors_and_gain(changed, z, np.array([0.5, 0.5]))
    _, same = posteriors_and_gain(statistics, z @ mix.T, np.array([0.5, 0.5]))
    np.testing.assert_allclose(gain, same, atol=1e-3)  # float32
    means = latent_means(changed)
    # The third coordinate is zero in all particles, so its direction has no variance left.
    assert np.var(means[:, 0]) > 0.5 and np.abs(mix[:, 2]).max() < 0.3
