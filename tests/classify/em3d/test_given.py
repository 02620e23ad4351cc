"""Start maps from elsewhere: the mean map's intensity scale, as many as there are classes."""

import numpy as np
import pytest

from emjax.classify.em3d.given import correlations, fit_scale, group_maps
from emjax.errors import OptionError


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two start maps, their mean, and a mask."""
    rng = np.random.default_rng(0)
    volumes = rng.normal(size=(2, 8, 8, 8)).astype(np.float32)
    mask = np.zeros((8, 8, 8), np.float32)
    mask[2:6, 2:6, 2:6] = 1
    return volumes, volumes.mean(0), mask


def test_maps_of_the_right_scale_stay(maps):
    volumes, mean, mask = maps
    np.testing.assert_allclose(fit_scale(volumes, mean, mask), volumes, atol=1e-5)


def test_another_scale_and_level_are_undone(maps):
    volumes, mean, mask = maps
    np.testing.assert_allclose(fit_scale(250 * volumes + 30, mean, mask), volumes, atol=1e-4)


def test_correlations_have_the_sign_of_the_contrast(maps):
    volumes, mean, mask = maps
    found = correlations(np.concatenate([volumes, -volumes]), mean, mask)
    assert (found[:2] > 0.5).all() and np.allclose(found[2:], -found[:2])
    constant = np.ones((1, 8, 8, 8), np.float32)
    assert (
        correlations(constant, mean, mask) == 0
        and np.isfinite(fit_scale(constant, mean, mask)).all()
    )


def test_as_many_maps_as_classes_stay(maps):
    assert group_maps(maps[0], 2, seed=3) is maps[0]


def test_similar_maps_are_averaged_where_there_are_more_than_classes(maps):
    (a, b), mean, _ = maps
    volumes = np.stack([a, b, a + 0.01, b - 0.02, a - 0.01])
    found = group_maps(volumes, 2, seed=0)
    found = found if np.abs(found[0] - a).max() < 0.1 else found[::-1]
    np.testing.assert_allclose(found, np.stack([a, b - 0.01]), atol=1e-5)
    np.testing.assert_allclose(group_maps(volumes[:2], 1, seed=0)[0], mean, atol=1e-6)


def test_fewer_maps_than_classes_are_an_error(maps):
    with pytest.raises(OptionError, match="initial_maps: found 2 maps, expected 3 or more"):
        group_maps(maps[0], 3, seed=0)
