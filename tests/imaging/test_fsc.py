"""Fourier shell correlation and what follows from it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.imaging.fsc import (
    corrected_fsc,
    fourier_shell_correlation,
    randomise_phases,
    volume_fsc,
    wiener_precision,
)
from emjax.imaging.grids import make_grid, to_fourier
from emjax.imaging.masks import radii, soft_edge

fourier_shell_correlation = eqx.filter_jit(fourier_shell_correlation)
to_fourier = eqx.filter_jit(to_fourier)


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def direct_fsc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """From the whole transform and the definition."""
    d = a.shape[0]
    k = np.fft.fftfreq(d, 1 / d)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2))
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    result = []
    for s in range(d // 2):
        pa, pb = fa[shell == s], fb[shell == s]
        norm = np.sqrt((np.abs(pa) ** 2).sum() * (np.abs(pb) ** 2).sum())
        result.append((pa * pb.conj()).sum().real / norm)
    return np.array(result)


@given(st.sampled_from([16, 17]), st.integers(0, 1000))
@settings(max_examples=6, deadline=None)
def test_against_the_whole_transform(d, seed):
    rng = np.random.default_rng(seed)
    a, noise = rng.normal(size=(2, d, d, d))
    b = a + noise
    expected = direct_fsc(a, b)
    np.testing.assert_allclose(volume_fsc(a, b), expected, atol=1e-12)
    grid = make_grid(d, 6)
    pair = to_fourier(jnp.asarray(np.stack([a, b])), grid)
    found = np.asarray(fourier_shell_correlation(pair[0], pair[1], grid))
    np.testing.assert_allclose(found[:7], expected[:7], atol=1e-12)
    np.testing.assert_allclose(fourier_shell_correlation(pair[0], pair[0], grid)[:7], 1, atol=1e-12)
    np.testing.assert_allclose(volume_fsc(a, a), 1, atol=1e-12)
    np.testing.assert_allclose(volume_fsc(b, a), volume_fsc(a, b), atol=1e-12)
    np.testing.assert_allclose(volume_fsc(-3 * a, b), -expected, atol=1e-12)


def test_nothing_correlates_with_nothing():
    zero = np.zeros((16, 16, 16))
    np.testing.assert_array_equal(volume_fsc(zero, zero + 1), 0)


@given(st.floats(0.01, 0.99), st.floats(1e-3, 1e6))
@settings(max_examples=20, deadline=None)
def test_wiener_precision_leaves_the_signal_fraction(fsc, weight):
    prior = float(wiener_precision(jnp.asarray([fsc]), jnp.asarray([weight]))[0])
    assert weight / (weight + prior) == pytest.approx(2 * fsc / (1 + fsc), rel=1e-9)


def test_random_phases_keep_amplitudes_and_low_shells():
    volume = np.random.default_rng(0).normal(size=(24, 24, 24))
    mixed = randomise_phases(volume, 5, seed=1)
    before, after = np.fft.fftn(volume), np.fft.fftn(mixed)
    # The randomisation works in float32.
    np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-3)
    fsc = volume_fsc(volume, mixed)
    np.testing.assert_allclose(fsc[:5], 1, atol=1e-5)
    assert np.abs(fsc[8:]).max() < 0.15
    np.testing.assert_array_equal(mixed, randomise_phases(volume, 5, seed=1))


def test_correction_removes_what_a_tight_mask_correlates():
    """Noise that is cut out by a narrow mask correlates; corrected it does not."""
    rng = np.random.default_rng(3)
    d = 48
    signal = np.exp(-((radii(d) / 4) ** 2)) * 30
    halves = tuple(signal + rng.normal(size=(d, d, d)) for _ in range(2))
    mask = soft_edge(radii(d), 5.0, 7.0)
    corrected, masked = corrected_fsc(halves, mask)
    # Shells whose correlation is the noise's own, seen through a mask of 500 voxels.
    assert masked[3] > 0.99 and corrected[3] > 0.99
    assert np.abs(corrected[10:]).mean() <= np.abs(masked[10:]).mean() + 0.05
    sharp = (radii(d) < 5).astype(np.float32)
    offset = tuple(h + 8 for h in halves)
    corrected, masked = corrected_fsc(offset, sharp)
    assert masked[12:].mean() > 0.5
    assert np.abs(corrected[12:]).mean() < 0.35


def test_no_correction_where_the_maps_agree_throughout():
    volume = np.random.default_rng(0).normal(size=(16, 16, 16))
    corrected, masked = corrected_fsc((volume, volume), np.ones((16, 16, 16), np.float32))
    np.testing.assert_array_equal(corrected, masked)
