"""Sines and the phases of shifts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from emjax.imaging.grids import half_spectra, make_grid, spectra_to_pixels
from emjax.imaging.phases import phase_factors, shift_phases, sine


@pytest.mark.parametrize("largest", [1.0, 30.0, 1e3, 1e4])
def test_sine_in_single_precision(largest):
    angles = np.linspace(-largest, largest, 100_003, dtype=np.float32)
    np.testing.assert_allclose(
        sine(jnp.asarray(angles)), np.sin(angles.astype(float)), rtol=0, atol=3e-7
    )


def test_sine_near_and_on_half_turns():
    angles = (np.arange(-200, 201)[:, None] * np.pi / 2 + [-1e-3, 0, 1e-3]).astype(np.float32)
    np.testing.assert_allclose(
        sine(jnp.asarray(angles)), np.sin(angles.astype(float)), rtol=0, atol=3e-7
    )
    assert sine(jnp.float32(0)) == 0


def test_sine_in_double_precision():
    with jax.enable_x64(True):
        angles = np.linspace(-50, 50, 1001)
        np.testing.assert_allclose(sine(jnp.asarray(angles)), np.sin(angles), atol=1e-15)


def test_phase_factors():
    angles = np.linspace(-100, 100, 1001, dtype=np.float32)
    # Adding π/2 in single precision costs half a unit of the last place of the angle.
    found = phase_factors(jnp.asarray(angles))
    np.testing.assert_allclose(found, np.exp(1j * angles.astype(float)), atol=5e-6)


def test_shifts_of_many_boxes_keep_their_phases():
    grid = make_grid(16, 5)
    far = shift_phases(jnp.asarray([[32_000.0, -64_000.0]]), grid, 32.0)
    np.testing.assert_allclose(far, 1, atol=1e-5)


def test_shift_moves_the_particle_to_the_centre():
    """RELION's origin is minus where the particle lies."""
    d, pixel_size = 16, 2.0
    grid = make_grid(d, 5)
    image = np.zeros((1, d, d))
    image[0, d // 2 - 1, d // 2 + 3] = 1  # the particle lies at x = 3, y = −1 pixels
    origin = np.array([[-3.0, 1.0]]) * pixel_size
    pixels = spectra_to_pixels(half_spectra(image.astype(np.float32)), grid.kx, grid.ky)
    centred = pixels * shift_phases(jnp.asarray(origin), grid, d * pixel_size)
    np.testing.assert_allclose(centred, 1, atol=2e-6)
    with jax.enable_x64(True):
        pixels = spectra_to_pixels(half_spectra(image), grid.kx, grid.ky)
        centred = pixels * shift_phases(jnp.asarray(origin), grid, d * pixel_size)
        np.testing.assert_allclose(centred, 1, atol=1e-12)
