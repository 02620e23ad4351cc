"""Some of the particles, whose images stay on disk until they are taken."""

from dataclasses import replace

import numpy as np
import pytest

from emjax.imaging.crop import grid_for
from emjax.imaging.ctf import CTF
from emjax.imaging.particles import coarsen, cropped_particles, fetch_pages
from emjax.machine import give_back

N, BOX, PIXEL = 20, 24, 4.0


@pytest.fixture(params=["memory", "file", "half precision"])
def particles(request, tmp_path):
    """Particles distinguished by their numbers, with images in memory or on disk."""
    grid, rng = grid_for(BOX, PIXEL, 16.0), np.random.default_rng(0)
    pairs = rng.standard_normal((N, len(grid.kx), 2)).astype(np.float32)
    one, number = np.ones(N), np.arange(float(N))
    ctf = CTF(9000 + number, 9000 + number, 0 * one, 0 * one, 300 * one, 2.7 * one, 0.1 * one)
    made = cropped_particles(
        pairs.view(np.complex64)[..., 0],
        np.tile(np.eye(3), (N, 1, 1)),
        ctf,
        (np.arange(N) % 2 + 1).astype(np.int8),
        np.zeros(N, np.int32),
        BOX,
        PIXEL,
        grid.radius,
    )
    images = pairs.astype(np.float16) if request.param == "half precision" else made.images
    if request.param != "memory":
        np.save(tmp_path / "images.npy", images)
        images = np.load(tmp_path / "images.npy", mmap_mode="r")
    return replace(made, images=images, scale=1.0 + number, weight=number / N)


@pytest.mark.parametrize("coarse", [False, True])
def test_a_subset_of_a_subset_holds_the_right_particles(particles, coarse):
    particles = coarsen(particles, particles.radius - 2) if coarse else particles
    first, second, rows = np.arange(19, 2, -2), np.array([5, 0, 0, 3]), np.array([2, 0])
    part = particles.subset(first).subset(second)
    assert part.images is particles.images and part.n == 4
    wanted, found = particles.take(first[second][rows]), part.take(rows)
    assert found.rows is None and found.images.dtype == np.complex64
    for name in ("images", "rotations", "scale", "group", "half", "weight"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    assert np.array_equal(found.ctf.defocus_u, wanted.ctf.defocus_u)
    fetch_pages(part, rows)
    give_back(part.images)
    assert np.array_equal(part.take(rows).images, wanted.images)
