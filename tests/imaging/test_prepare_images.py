"""Images whitened by what differs between them, without a map."""

import numpy as np
import pytest

from emjax.imaging.crop import grid_for
from emjax.imaging.ctf import CTF
from emjax.imaging.prepare import AlignedImages
from emjax.imaging.prepare_images import prepare_images
from emjax.simulate.images import rotating_domain

N, BOX, PIXEL = 300, 32, 4.0


def aligned(images: np.ndarray, group: np.ndarray) -> AlignedImages:
    n, zero = len(images), np.zeros(len(images))
    ctf = CTF(zero, zero, zero, zero, zero + 300, zero, zero + 1)
    upright = np.tile(np.eye(3), (n, 1, 1))
    return AlignedImages(
        lambda rows: images[rows], upright, np.zeros((n, 2)), ctf, BOX, PIXEL, group
    )


@pytest.mark.parametrize("still", [True, False])
def test_noise_of_each_group_is_found_beside_a_signal(still: bool):
    images, _ = rotating_domain(N, BOX, signal_to_noise=1e9, span=1e-6 if still else 40.0)
    rng, group = np.random.default_rng(0), np.arange(N, dtype=np.int32) % 2
    deviation = np.where(group == 0, 0.5, 1.0).astype(np.float32)
    noisy = images + deviation[:, None, None] * rng.standard_normal(images.shape, np.float32)
    grid = grid_for(BOX, PIXEL, 10.0)
    out = np.empty((N, len(grid.kx)), np.complex64)
    found = prepare_images(aligned(noisy, group), 10.0, False, "drop", out)
    shells = np.arange(2, grid.radius)
    expected = np.outer([0.25, 1.0], np.full(len(shells), BOX**2))
    # The moving domain adds to the noise of the first shells.
    some = shells > (0 if still else 4)
    np.testing.assert_allclose(found.noise_power[:, shells][:, some], expected[:, some], rtol=0.15)
    for g in (0, 1):
        # Whitened noise has power 2 in each pixel.
        far = np.asarray(grid.pixel_shells) > 8
        power = np.mean(np.abs(out[group == g][:, far]) ** 2)
        np.testing.assert_allclose(power, 2, rtol=0.05)
    assert len(found.bad_images) == 0


def test_images_without_noise_stay_finite():
    images, _ = rotating_domain(N, BOX, signal_to_noise=1e12, span=1e-6)
    grid = grid_for(BOX, PIXEL, 10.0)
    out = np.empty((N, len(grid.kx)), np.complex64)
    prepare_images(aligned(images, np.zeros(N, np.int32)), 10.0, False, "drop", out)
    assert np.isfinite(out).all() and np.abs(out).max() > 0
