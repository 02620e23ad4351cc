"""Where components stand out of their noise."""

import numpy as np

from emjax.classify.subspace.region import variable_region


def test_a_region_is_found_where_a_component_stands_out():
    rng = np.random.default_rng(1)
    mask = np.ones((24, 24, 24))
    noise = rng.normal(size=(2, 24, 24, 24))
    assert variable_region(noise, mask, 8.0)[0] is None
    noise[1, 10:14, 10:14, 10:14] += 40
    window, local = variable_region(noise, mask, 8.0)
    assert window is not None and local.tolist() == [False, True]
    assert window[12, 12, 12] > 0.9 and window[2, 2, 2] < 0.2
