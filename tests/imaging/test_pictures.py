"""Pictures of particles are those of the stack, filtered, beside what a map predicts."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from emjax.imaging.grids import half_spectra, pixels_to_images, resample, spectra_to_pixels
from emjax.imaging.particles import contrast
from emjax.imaging.phases import shift_phases
from emjax.imaging.pictures import draw_pixels, predict_pixels, wiener_gain

ROWS = np.arange(40)


@pytest.fixture(scope="module")
def few(prepared):
    """Some of the prepared particles."""
    return prepared.particles.take(ROWS)


def centred(simulation, particles, box_size):
    """Images of the stack, centred and without what lies beyond the filter, on another box."""
    grid, images = particles.grid, simulation.aligned().read(ROWS)
    pixels = jnp.asarray(spectra_to_pixels(half_spectra(images), grid.kx, grid.ky))
    shifts = jnp.asarray(simulation.aligned().shifts[ROWS], jnp.float32)
    pixels *= shift_phases(shifts, grid, float(particles.extent))
    shown = np.asarray(pixels_to_images(pixels, grid.kx, grid.ky, box_size))
    return shown * (box_size / images.shape[-1]) ** 2


@pytest.mark.parametrize("box_size", [32, 64])
def test_without_a_filter_an_image_is_that_of_the_stack(simulation, few, box_size):
    drawn = draw_pixels(few.images, few, np.ones(few.images.shape), box_size)
    expected = centred(simulation, few, box_size)
    np.testing.assert_allclose(drawn, expected, atol=2e-5 * np.abs(expected).max())


def test_a_small_box_leaves_out_what_lies_beyond_its_nyquist(few):
    box_size = 12
    drawn = draw_pixels(few.images, few, np.ones(few.images.shape), box_size)
    full = draw_pixels(few.images, few, np.ones(few.images.shape), 32)
    a, b = (np.fft.fft2(np.fft.ifftshift(x, (1, 2)), norm="forward") for x in (drawn, full))
    for ky in (-5, 0, 3):
        for kx in (1, 5):
            np.testing.assert_allclose(a[:, ky, kx], b[:, ky, kx], atol=1e-4 * np.abs(b).max())


def test_a_projection_is_what_the_images_show(simulation, few, volume):
    true = resample(volume, few.box_size) / simulation.noise_sd
    predicted = predict_pixels(few, [true])
    amplitude = np.sum((few.images * predicted.conj()).real) / np.sum(np.abs(predicted) ** 2)
    assert amplitude == pytest.approx(simulation.scale[ROWS].mean(), abs=0.06)  # 4 errors of 0.014
    other = predict_pixels(replace(few, rotations=few.rotations[::-1]), [true])
    match, mismatch = (
        np.sum((few.images * p.conj()).real, 1) / np.linalg.norm(p, axis=1)
        for p in (predicted, other)
    )
    assert match.mean() > mismatch.mean() + 3


def test_the_gain_is_wieners(few):
    ctf = np.asarray(contrast(few.ctf, few.grid, np.float32(few.extent)))
    for ratio in (0.5, 1e6):
        gain = wiener_gain((ctf * np.sqrt(2 * ratio)).astype(np.complex64), few)
        expected = ctf * ratio / (1 + ctf**2 * ratio)
        np.testing.assert_allclose(gain, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
