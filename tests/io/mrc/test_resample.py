"""Images of two pixel sizes on one grid."""

import numpy as np

from emjax.io.mrc.resample import common_grid, resampling_matrix


def test_resampling_is_exact_for_band_limited_images():
    n, pixel = 32, 1.3
    target_n, target_pixel = 20, 1.9
    k = 3 / (n * pixel)  # a frequency that both grids carry

    def wave(count, size):
        x = (np.arange(count) - count // 2) * size
        return np.cos(2 * np.pi * k * x + 0.4)

    m = resampling_matrix(n, pixel, target_n, target_pixel)
    # float32 matrix
    np.testing.assert_allclose(m @ wave(n, pixel), wave(target_n, target_pixel), atol=2e-6)
    np.testing.assert_allclose(m.sum(1), 1, atol=1e-6)
    same = resampling_matrix(7, 2.0, 7, 2.0)
    np.testing.assert_allclose(same, np.eye(7), atol=1e-6)


def test_the_common_grid_lies_inside_every_image():
    assert common_grid(np.array([196, 196]), np.array([1.25, 1.24])) == (194, 1.25)
    assert common_grid(np.array([64]), np.array([6.0])) == (64, 6.0)
