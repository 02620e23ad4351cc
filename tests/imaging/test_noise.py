"""Scales drawn to what all particles share, and steadied spectra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.imaging.noise import shrink_scale, steady_power


@given(st.floats(0.02, 0.4), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_scales_shrink_towards_one(spread, seed):
    rng = np.random.default_rng(seed)
    variance = rng.uniform(0.01, 0.3, 2000)
    truth = rng.normal(1, spread, 2000)
    measured = 2 * (truth + rng.normal(0, np.sqrt(variance)))
    found = shrink_scale(measured, 4 * variance, np.ones(2000))
    raw = truth + rng.normal(0, np.sqrt(variance))
    assert np.mean((found - truth) ** 2) <= np.mean((raw - truth) ** 2)
    assert found.mean() == pytest.approx(1, abs=0.05)
    # Where the spread is all noise, hardly anything of it is left.
    none = shrink_scale(1 + rng.normal(0, np.sqrt(variance)), variance, np.ones(2000))
    assert none.std() < 0.1


@given(st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_scale_of_weight_zero_counts_for_none_but_itself(seed):
    rng = np.random.default_rng(seed)
    variance, amplitude = rng.uniform(0.01, 0.3, 50), rng.normal(2, 0.5, 50)
    weight = np.where(np.arange(50) % 7, rng.uniform(0.1, 1, 50), 0)
    kept = weight > 0
    alone = shrink_scale(amplitude[kept], variance[kept], weight[kept])
    spoiled = np.where(kept, amplitude, rng.uniform(-1e6, 1e6, 50))
    np.testing.assert_array_equal(shrink_scale(spoiled, variance, weight)[kept], alone)
    np.testing.assert_array_equal(shrink_scale(amplitude, variance, 0 * weight), 1)


def test_few_pixels_take_the_common_shape_and_many_keep_their_own():
    shape, other = np.array([4.0, 2.0, 1.0]), np.array([1.0, 2.0, 4.0])
    counts = np.array([[1e6, 1e6, 1e6], [2.0, 2.0, 2.0]])
    many, few = steady_power(np.stack([shape, 5 * other]), counts)
    np.testing.assert_allclose(many, shape, rtol=1e-3)
    # Two pixels beside COMMON_PIXELS of the shape of the rest, at their own level.
    assert few[0] / few[2] == pytest.approx(4, rel=0.2)
    assert few.mean() == pytest.approx(5 * other.mean(), rel=0.05)


def test_power_of_empty_shells_stays():
    power = np.array([[3.0, 7.0]])
    np.testing.assert_array_equal(steady_power(power, np.array([[0.0, 0.0]])), power)
