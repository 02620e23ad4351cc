"""Masks: soft edges, and the automatic solvent mask in awkward cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from emjax.imaging.grids import resample
from emjax.imaging.masks import radii, resample_mask, soft_edge, solvent_mask, sphere


def ball(box_size: int, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """1 inside; centre x, y, z and radius as fractions of the box."""
    axis = (np.arange(box_size) - box_size // 2) / box_size
    x, y, z = centre
    distance = (axis[:, None, None] - z) ** 2 + (axis[:, None] - y) ** 2 + (axis - x) ** 2
    return (distance < radius**2).astype(np.float32)


def noisy(volume: np.ndarray, sd: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sd, volume.shape)
    return (volume + noise).astype(np.float32)


@given(st.floats(0, 50), st.floats(0, 50))
@settings(max_examples=30, deadline=None)
def test_soft_edge_falls_from_one_to_zero(near, width):
    distance = np.linspace(0, 120, 500)
    edge = soft_edge(distance, near, near + width)
    assert (np.diff(edge) <= 0).all()
    assert (edge[distance <= near] == 1).all()
    assert (edge[distance > near + width + 1e-6] == 0).all()


def test_radii_start_at_the_centre():
    for d in (8, 9):
        assert radii(d)[d // 2, d // 2, d // 2] == 0
        assert radii(d)[d // 2, d // 2, 0] == d // 2


def test_sphere_fits_the_box():
    mask = sphere(24)
    assert mask[12, 12, 1] == 1 and mask[12, 12, 0] == 0 and mask[0, 0, 0] == 0


# Box, voxel size in Å, noise: 2 voxels to the filter resolution, from 20 to 5 Å.
SIZES = [(24, 10.0, 0.05), (48, 6.0, 0.1), (64, 4.5, 0.15), (96, 3.0, 0.3), (128, 2.5, 0.4)]


@pytest.mark.parametrize(("box_size", "voxel_size", "noise"), SIZES)
def test_solvent_mask_covers_every_domain_and_little_else(box_size, voxel_size, noise):
    """One body, a domain an eighth as large apart from it, noise up to 40 % of the density."""
    domain = ball(box_size, (0.3, 0.0, 0.1), 0.09)
    particle = np.maximum(ball(box_size, (-0.05, 0, 0), 0.18), domain)
    mask = solvent_mask(noisy(particle, noise), voxel_size)
    assert mask.shape == particle.shape and mask.dtype == np.float32
    assert mask.min() >= 0 and mask.max() == 1
    assert mask[particle > 0].min() > 0.9
    distance = ndimage.distance_transform_edt(particle == 0) * voxel_size
    # Thresholding a low-passed map at 0.2 adds some Å to near and far.
    assert mask[distance > 30].max() == 0


@pytest.mark.parametrize("box_size", [48, 96])
def test_near_and_far_are_distances(box_size):
    voxel_size = 480 / box_size
    particle = ball(box_size, (0, 0, 0), 0.2)
    mask = solvent_mask(particle, voxel_size, threshold=0.5, near=20.0, far=50.0)
    line = mask[box_size // 2, box_size // 2, box_size // 2 :]
    radius = np.arange(len(line)) * voxel_size - 96
    # The outline is known to a voxel.
    assert (line[radius < 20 - voxel_size] == 1).all()
    assert (line[radius > 50 + voxel_size] == 0).all()
    assert (np.diff(line) <= 0).all()


def test_specks_are_dropped():
    volume = ball(48, (0, 0, 0), 0.2)
    volume[10, 24, 24] = 5
    mask = solvent_mask(volume, 6.0, threshold=0.1)
    assert mask[10, 24, 24] == 0 and mask[24, 24, 24] == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.05, 0.25])
def test_small_regions_that_stand_out_of_the_noise_are_kept(noise, seed):
    """A fiftieth of the body, in half of the particles, apart from it: no speck of noise."""
    body, domain = ball(64, (-0.1, 0, 0), 0.2), ball(64, (0.25, 0.1, 0), 0.06)
    halves = np.stack([noisy(body + domain / 2, noise, 2 * seed + i) for i in range(2)])
    with_halves = solvent_mask(halves.mean(0), 5.0, half_maps=halves)
    assert with_halves[domain > 0].min() > 0.9
    assert solvent_mask(halves.mean(0), 5.0)[domain > 0].max() < 0.5


@pytest.mark.parametrize("seed", range(5))
def test_regions_of_noise_are_dropped_beside_half_maps_too(seed):
    """Noise so strong that its highest peaks cross the threshold all over the box."""
    body = ball(64, (0, 0, 0), 0.2)
    halves = np.stack([noisy(body, 7.0, 2 * seed + i) for i in range(2)])
    with_halves = solvent_mask(halves.mean(0), 5.0, half_maps=halves)
    np.testing.assert_array_equal(with_halves, solvent_mask(halves.mean(0), 5.0))
    low_passed = ndimage.gaussian_filter(halves.mean(0), 2.8 / 5.0) * sphere(64)
    beyond = low_passed[ball(64, (0, 0, 0), 0.3) == 0]
    assert (beyond > 0.2 * np.percentile(low_passed, 99.95)).any()


def test_a_particle_at_the_edge_ends_with_the_sphere():
    volume = ball(64, (0.36, 0, 0), 0.2)
    mask = solvent_mask(volume, 4.0)
    assert (mask[sphere(64) == 0] == 0).all()
    assert mask[32, 32, 32 + 23] == 1 and mask[32, 32, 0] == 0


def test_one_bright_voxel_does_not_raise_the_threshold():
    """The highest density is that of the brightest half per mille."""
    volume = ball(64, (0, 0, 0), 0.2)
    volume[32, 32, 32] = 60
    mask = solvent_mask(volume, 8.0)
    assert mask[ball(64, (0, 0, 0), 0.2) > 0].min() > 0.9


@pytest.mark.parametrize("threshold", [0.1, 0.3])
def test_a_lower_threshold_never_shrinks_the_mask(threshold):
    volume = ndimage.gaussian_filter(ball(32, (0, 0, 0), 0.2), 3)
    lower = solvent_mask(volume, 6.0, threshold=threshold)
    assert (lower >= solvent_mask(volume, 6.0, threshold=threshold + 0.2)).all()


def test_what_is_no_map_of_a_particle_is_reported():
    with pytest.raises(ValueError, match="no voxel above 0.2"):
        solvent_mask(np.zeros((24,) * 3, np.float32), 6.0)
    with pytest.raises(ValueError, match="whole box above 0.2"):
        solvent_mask(np.ones((24,) * 3, np.float32), 6.0)
    with pytest.raises(ValueError, match="darker than the solvent"):
        solvent_mask(-ball(24, (0, 0, 0), 0.3), 6.0)


@pytest.mark.parametrize("sizes", [(48, 30), (30, 48), (48, 48), (49, 30)])
def test_masks_resample_within_0_and_1(sizes):
    old, new = sizes
    mask = soft_edge(radii(old) / old, 0.2, 0.35)
    there = resample_mask(mask, new)
    assert there.shape == (new,) * 3 and there.min() >= 0 and there.max() <= 1
    # The edge of a fifth of the box is cosine-shaped: a few per cent of ringing.
    np.testing.assert_allclose(there, soft_edge(radii(new) / new, 0.2, 0.35), atol=0.06)
    assert np.abs(resample(there, old) - mask).mean() < 0.01
