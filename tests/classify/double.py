"""90 particles in double precision, small enough for exact comparisons."""

import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from emjax.imaging.ctf import CTF
from emjax.imaging.grids import make_grid
from emjax.imaging.maps import slicing_values
from emjax.imaging.masks import radii, soft_edge
from emjax.imaging.particles import Particles, weights_of
from emjax.imaging.projector import make_slices, slice_volume
from emjax.simulate.particles import phantom

BOX, RADIUS, N = 18, 6, 90


def make_data(kind: str) -> tuple[Particles, np.ndarray, np.ndarray]:
    """Particles, the mean map, and a soft mask."""
    rng = np.random.default_rng(3)
    volumes = phantom(4, BOX, 1).astype(np.float64)
    labels = rng.integers(4, size=N) if kind == "states" else np.zeros(N, int)
    one = np.ones(N)
    ctf = CTF(rng.uniform(8e3, 2e4, N), rng.uniform(8e3, 2e4, N), 0 * one, 0 * one, 300 * one,
              2.7 * one, 0.1 * one)  # fmt: skip
    grid = make_grid(BOX, RADIUS)
    particles = Particles(
        images=np.zeros((N, grid.kx.shape[0]), np.complex128),
        rotations=Rotation.random(N, random_state=rng).as_matrix(),
        ctf=ctf,
        scale=rng.uniform(0.5, 1.5, N) if kind == "scaled" else one,
        group=np.zeros(N, np.int32),
        half=np.arange(N, dtype=np.int8) % 2 + 1,
        weight=np.ones(N),
        noise_power=np.full((1, grid.n_shells), 20.0),
        box_size=BOX,
        stack_box_size=BOX,
        voxel_size=12.0,
        radius=RADIUS,
    )
    slices = make_slices(jnp.asarray(particles.rotations), grid)
    weights = weights_of(particles, grid)
    clean = [slice_volume(v, slices) for v in slicing_values(jnp.asarray(volumes), grid)]
    images = np.asarray(jnp.stack(clean) * weights)[labels, np.arange(N)]
    noise = rng.normal(size=(2, *images.shape))
    particles.images[:] = images + noise[0] + 1j * noise[1]
    mask = soft_edge(radii(BOX), 6.0, 8.0).astype(np.float64)
    return particles, volumes.mean(0), mask


def start(particles, mean, mask):
    return slicing_values(jnp.asarray(mean * mask), particles.grid)
