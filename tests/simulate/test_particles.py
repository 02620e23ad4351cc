"""Phantoms and simulated particles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.imaging.crop import grid_for
from emjax.imaging.ctf import CTF
from emjax.imaging.grids import half_plane, half_spectra, spectra_to_pixels
from emjax.imaging.particles import contrast
from emjax.simulate.particles import coloured_noise, phantom, project, simulate

FLAT = {"phase_shift": 0.0, "voltage": 300.0, "spherical_aberration": 0.0}


def pure_ctf(n: int, defocus: float = 0.0, amplitude_contrast: float = 1.0) -> CTF:
    """1 throughout, where the defocus is 0."""
    values = FLAT | {
        "defocus_u": defocus,
        "defocus_v": defocus,
        "defocus_angle": 0.0,
        "amplitude_contrast": amplitude_contrast,
    }
    return CTF(**{name: np.full(n, value) for name, value in values.items()})


def test_states_lack_one_domain_each():
    volumes = phantom(4, 32, seed=0)
    assert volumes.shape == (4, 32, 32, 32) and volumes.dtype == np.float32
    missing = [volumes[0] - v for v in volumes[1:]]
    for domain in missing:
        assert domain.min() > -1e-6 and domain.sum() == pytest.approx(16, rel=1e-3)
    for i in range(3):
        for j in range(i):
            overlap = np.minimum(missing[i], missing[j]).sum()
            assert overlap < 0.1 * missing[i].sum()
    np.testing.assert_array_equal(volumes, phantom(4, 32, seed=0))
    assert np.abs(volumes - phantom(4, 32, seed=1)).max() > 0.1


def test_phantom_fits_its_box():
    axis = np.arange(48) - 24
    far = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) > 23
    for volume in phantom(4, 48, seed=3):
        assert volume[far].sum() < 0.01 * volume.sum()


@pytest.mark.parametrize("box_size", [32, 33])
def test_projections_along_z_are_sums_along_z(box_size):
    """At the identity, shifted by whole pixels against the origin."""
    volume = phantom(1, box_size, seed=1)
    shifts = np.array([[0.0, 0.0], [-12.0, 6.0]])
    states, poses = np.zeros(2, np.int64), np.stack([np.eye(3)] * 2)
    images = project(volume, states, poses, shifts, pure_ctf(2), 6.0)
    expected = volume[0].sum(0)
    expected -= expected.mean()
    # Images hold nothing from Nyquist on, where the phantom still has 4 % of its amplitude.
    assert np.linalg.norm(images[0] - expected) < 0.06 * np.linalg.norm(expected)
    # An origin of (−12, 6) Å: the particle lies at (+2, −1) pixels.
    moved = np.roll(images[0], (-1, 2), (0, 1))
    assert np.linalg.norm(images[1] - moved) < 0.05 * np.linalg.norm(moved)


def test_projections_turn_as_relion_says():
    """rot = 90° turns the volume so that its y axis is seen along the image's x axis."""
    volume = phantom(1, 32, seed=1)
    states, shifts = np.zeros(1, np.int64), np.zeros((1, 2))
    pose = Rotation.from_euler("ZYZ", [[90, 0, 0]], degrees=True).as_matrix().transpose(0, 2, 1)
    image = project(volume, states, pose, shifts, pure_ctf(1), 6.0)[0]
    # A·(x, y) = (y, −x): the pixel at x = a shows y = a.
    expected = np.zeros((32, 32))
    expected[1:, 1:] = volume[0].sum(0)[1:, 1:].T[::-1, :]
    expected -= expected.mean()
    assert np.corrcoef(image[1:, 1:].ravel(), expected[1:, 1:].ravel())[0, 1] > 0.999


def test_ctf_is_applied():
    volume = phantom(1, 32, seed=1)
    states, shifts, poses = np.zeros(1, np.int64), np.zeros((1, 2)), np.eye(3)[None]
    ctf = pure_ctf(1, 15_000.0, 0.1)
    grid = grid_for(32, 6.0, 20.0)

    def pixels(which: CTF) -> np.ndarray:
        image = jnp.asarray(project(volume, states, poses, shifts, which, 6.0))
        return spectra_to_pixels(half_spectra(np.asarray(image)), grid.kx, grid.ky)[0]

    def values(which: CTF) -> np.ndarray:
        return np.asarray(contrast(jax.tree.map(jnp.asarray, which), grid, 192.0))[0]

    left, right = pixels(ctf) * values(pure_ctf(1)), pixels(pure_ctf(1)) * values(ctf)
    np.testing.assert_allclose(left, right, atol=1e-3 * np.abs(right).max())


def test_noise_is_coloured_and_of_unit_variance():
    noise = coloured_noise(400, 32, np.random.default_rng(0))
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(1, abs=1e-6)
    kx, ky = half_plane(15)
    pixels = spectra_to_pixels(half_spectra(noise), kx, ky)
    power, radius = (np.abs(pixels) ** 2).mean(0), np.hypot(kx, ky)
    law = 1 + 4 * (1 - radius / 16).clip(0) ** 2
    # 400 images: each pixel's power is known to 5 %.
    ratio = power / law
    assert ratio[radius < 4].mean() == pytest.approx(ratio[radius > 12].mean(), rel=0.05)


def test_simulation_is_seeded_and_as_noisy_as_asked():
    volumes = phantom(3, 24, seed=0)
    arguments = {"pixel_size": 6.0, "snr": 0.25, "fractions": np.array([0.5, 0.3, 0.2])}
    one = simulate(volumes, 600, seed=5, scale_sd=0.1, **arguments)
    again = simulate(volumes, 600, seed=5, scale_sd=0.1, **arguments)
    np.testing.assert_array_equal(one.images, again.images)
    assert np.abs(one.images - simulate(volumes, 600, seed=6, **arguments).images).max() > 1
    assert one.images.dtype == np.float32 and np.isfinite(one.images).all()
    # 600 draws: a standard deviation of 2 % of the particles.
    np.testing.assert_allclose(np.bincount(one.states) / 600, arguments["fractions"], atol=0.08)
    assert np.unique(one.micrograph, return_counts=True)[1].max() == 50
    assert one.scale.std() == pytest.approx(0.1, abs=0.02)
    assert one.shifts.std() == pytest.approx(9, rel=0.1)
    # Signal and noise are independent; the disc holds more of the signal than the corners.
    assert one.images.var() == pytest.approx(1 + 0.25 * 0.7, abs=0.12)
    np.testing.assert_allclose(np.linalg.det(one.rotations), 1)
    assert (np.asarray(one.ctf.defocus_u) >= np.asarray(one.ctf.defocus_v)).all()
