"""Fourier grids: half planes, half volumes, transforms and resampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emjax.imaging.grids import (
    add_friedel_mates,
    cropped_box_size,
    friedel_mates,
    gridding,
    half_plane,
    half_spectra,
    make_grid,
    pixels_to_images,
    resample,
    shell_means,
    shell_sums,
    spectra_to_pixels,
    to_fourier,
    to_real,
)

QUICK = settings(max_examples=10, deadline=None)


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def random_volume(d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(d, d, d))


def centred_fft(volume: np.ndarray) -> np.ndarray:
    """Coefficients with the origin at the box centre, by the definition of the transform."""
    return np.fft.fftn(np.roll(volume, [-(n // 2) for n in volume.shape], range(volume.ndim)))


@given(st.integers(1, 40))
@QUICK
def test_half_plane_and_mates_are_the_whole_disc(radius):
    kx, ky = half_plane(radius)
    both = {*zip(kx.tolist(), ky.tolist()), *zip((-kx).tolist(), (-ky).tolist())}
    x, y = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    expected = (x**2 + y**2 <= radius**2) & ((x != 0) | (y != 0))
    assert len(both) == 2 * len(kx) == expected.sum()
    assert both == set(zip(x[expected].tolist(), y[expected].tolist()))


@given(st.integers(1, 400))
@QUICK
def test_cropped_boxes_are_even_fast_and_just_large_enough(radius):
    size = cropped_box_size(radius)
    assert size % 2 == 0
    # The least even size with factors 2, 3 and 5 from two shells beyond the radius on.
    smooth = {2 * 2**a * 3**b * 5**c for a in range(10) for b in range(7) for c in range(5)}
    assert size == min(s for s in smooth if s >= 2 * (radius + 2))
    if radius < 12:
        make_grid(size, radius)


@pytest.mark.parametrize(("box_size", "radius"), [(16, 6), (17, 7)])
def test_coefficients_are_those_of_the_definition(box_size, radius):
    grid = make_grid(box_size, radius)
    volume = random_volume(box_size)
    full = centred_fft(volume)
    x, y, z = np.asarray(grid.kxyz).T
    expected = full[z % box_size, y % box_size, x]
    np.testing.assert_allclose(to_fourier(jnp.asarray(volume), grid), expected, atol=1e-10)
    image = volume[:1]
    kx, ky = grid.kx, grid.ky
    pixels = spectra_to_pixels(half_spectra(image), kx, ky)
    np.testing.assert_allclose(pixels[0], centred_fft(image[0])[ky % box_size, kx], atol=1e-10)


@pytest.mark.parametrize(("box_size", "radius"), [(16, 6), (17, 7)])
def test_real_space_and_back(box_size, radius):
    grid = make_grid(box_size, radius)
    values = to_fourier(jnp.asarray(random_volume(box_size)), grid)
    np.testing.assert_allclose(to_fourier(to_real(values, grid), grid), values, atol=1e-10)
    pixels = spectra_to_pixels(half_spectra(random_volume(box_size)), grid.kx, grid.ky)
    images = np.asarray(pixels_to_images(jnp.asarray(pixels), grid.kx, grid.ky, box_size))
    again = spectra_to_pixels(half_spectra(images), grid.kx, grid.ky)
    np.testing.assert_allclose(again, pixels, atol=1e-10)


def test_the_centre_is_voxel_n_over_2():
    for d in (16, 17):
        grid = make_grid(d, 5)
        point = np.zeros((d, d, d))
        point[d // 2, d // 2, d // 2] = 1
        np.testing.assert_allclose(to_fourier(jnp.asarray(point), grid), 1, atol=1e-12)


def test_axes_are_z_y_x():
    d, grid = 16, make_grid(16, 6)
    point = np.zeros((d, d, d))
    point[d // 2, d // 2, d // 2 + 2] = 1
    expected = np.exp(-2j * np.pi * np.asarray(grid.kxyz)[:, 0] * 2 / d)
    np.testing.assert_allclose(to_fourier(jnp.asarray(point), grid), expected, atol=1e-12)


@pytest.mark.parametrize("padding", [1, 2])
def test_radius_stops_short_of_nyquist(padding):
    for box_size in (32, 33):
        highest = (box_size + 1) // 2 - 2
        make_grid(box_size, highest // padding, padding)
        with pytest.raises(ValueError, match=rf"radius: .* expected 1 … {highest // padding}$"):
            make_grid(box_size, highest // padding + 1, padding)
    with pytest.raises(ValueError, match="radius"):
        make_grid(32, 0)


def test_friedel_mates_pair_up_on_the_plane():
    grid = make_grid(16, 5)
    mates, kxyz = np.asarray(friedel_mates(grid)), np.asarray(grid.kxyz)
    np.testing.assert_array_equal(mates[mates], np.arange(len(mates)))
    plane = kxyz[:, 0] == 0
    np.testing.assert_array_equal(kxyz[mates[plane]], -kxyz[plane])
    np.testing.assert_array_equal(mates[~plane], np.flatnonzero(~plane))
    values = jnp.asarray(np.random.default_rng(0).normal(size=len(mates)) + 0.5j)
    added = np.asarray(add_friedel_mates(values, grid))
    np.testing.assert_allclose(added[mates[plane]], added[plane].conj())
    np.testing.assert_array_equal(added[~plane], np.asarray(values)[~plane])


def test_shells_count_every_voxel_once():
    grid = make_grid(20, 7)
    counts = shell_sums(jnp.ones(len(grid.kxyz)), grid)
    assert counts.sum() == len(grid.kxyz)
    np.testing.assert_array_equal(counts, np.bincount(grid.voxel_shells, minlength=grid.n_shells))
    means = shell_means(grid.voxel_shells.astype(float), grid)
    np.testing.assert_allclose(means, np.arange(grid.n_shells) * (counts > 0))


def test_gridding_is_what_trilinear_interpolation_does():
    """A volume interpolated half-way between its coefficients fades as the window says."""
    d = 32
    window = gridding(d)
    assert window[d // 2, d // 2, d // 2] == 1
    # One axis: values at k + 1/2 by the mean of neighbours are the transform of cos(πx/d)·v, and
    # sinc² is the mean of that over all fractions.
    x = (np.arange(d) - d // 2) / d
    fractions = (np.arange(1000) + 0.5) / 1000
    kernel = (1 - fractions)[:, None] * np.exp(2j * np.pi * np.outer(fractions, x))
    kernel = kernel + fractions[:, None] * np.exp(-2j * np.pi * np.outer(1 - fractions, x))
    np.testing.assert_allclose(window[d // 2, d // 2], kernel.mean(0).real, atol=1e-6)


@given(st.integers(12, 25), st.integers(0, 14))
@QUICK
def test_resample_round_trip(box_size, more):
    spectrum = np.fft.fftn(random_volume(box_size))
    low = np.abs(np.fft.fftfreq(box_size, 1 / box_size)) < 5
    volume = np.fft.ifftn(spectrum * low[:, None, None] * low[:, None] * low).real
    there = resample(volume, box_size + more)
    # The maps are float32.
    np.testing.assert_allclose(resample(there, box_size), volume, atol=1e-6)


@pytest.mark.parametrize("sizes", [(24, 36), (24, 35), (25, 36), (25, 37), (36, 24), (35, 24)])
def test_resample_keeps_the_centre_and_the_density(sizes):
    old, new = sizes

    def blob(d: int) -> np.ndarray:
        axis = (np.arange(d) - d // 2) / d
        distance = (axis[:, None, None] - 0.05) ** 2 + (axis[:, None] + 0.02) ** 2 + axis**2
        return np.exp(-distance / 0.02)

    # Beyond a third of the box the Gaussian is 2 % of its peak, and wraps.
    np.testing.assert_allclose(resample(blob(old), new), blob(new), atol=0.03)
    assert np.abs(resample(blob(old), new) - blob(new)).mean() < 2e-3
