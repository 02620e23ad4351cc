"""Seeds that found the same answer."""

import numpy as np

from emjax.classify.subspace.mixture import fit_seeds
from emjax.classify.subspace.optima import seed_array


def test_all_seeds_are_one_array(three_classes):
    statistics, _ = three_classes
    two, three = (fit_seeds(statistics, k, range(4)) for k in (2, 3))
    array = seed_array([two, three])
    assert array.shape == (8, 3, 4) and np.isnan(array[:4, 2]).all()
    np.testing.assert_array_equal(array[4:, :, :3], three.coordinates)
    np.testing.assert_array_equal(array[:4, :2, 3], two.class_weights)
