"""Where components stand out of their noise."""

import numpy as np

from emjax.classify.subspace.region import cut_to_regions, variable_region


def test_a_region_is_found_where_a_component_stands_out():
    rng = np.random.default_rng(1)
    mask = np.ones((24, 24, 24))
    noise = rng.normal(size=(2, 24, 24, 24))
    assert variable_region(noise, mask, 8.0)[0] is None
    noise[1, 10:14, 10:14, 10:14] += 40
    window, local = variable_region(noise, mask, 8.0)
    assert window is not None and local.tolist() == [False, True]
    assert window[12, 12, 12] > 0.9 and window[2, 2, 2] < 0.2


def test_differences_are_kept_where_they_stand_out():
    rng = np.random.default_rng(2)
    mask = np.ones((24, 24, 24))
    maps = rng.normal(size=(2, 24, 24, 24))
    maps[0, 10:14, 10:14, 10:14] += 40
    maps[1] = 0
    cut = cut_to_regions(maps, mask, 8.0)
    assert np.abs(cut[0, 11:13, 11:13, 11:13] / maps[0, 11:13, 11:13, 11:13] - 1).max() < 0.1
    assert np.abs(cut[0, :4]).max() < 0.2 * np.abs(maps[0, :4]).max()
    assert not cut[1].any()  # nothing, rather than not a number
