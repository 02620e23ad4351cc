"""Reconstruction of one set of particles at full box, with half-maps and FSC."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from emjax.imaging.ctf import CTF
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.grids import add_friedel_mates, images_to_pixels, make_grid
from emjax.imaging.masks import sphere
from emjax.imaging.particles import chunks, pixel_weights
from emjax.imaging.prepare import _accumulate, solve_map
from emjax.imaging.projector import shift_phases


@dataclass(frozen=True)
class Reconstruction:
    """Maps of one class at full box; half-maps unmasked and unfiltered."""

    volume: Float[np.ndarray, "d d d"]
    half_maps: tuple[Float[np.ndarray, "d d d"], Float[np.ndarray, "d d d"]]
    fsc: Float[np.ndarray, " s"]
    fsc_masked: Float[np.ndarray, " s"]


def choose_padding(box_size: int) -> int:
    """2 (exact to the box edge), or 1 where twice the box would not fit in a few gigabytes."""
    return 2 if box_size <= 320 else 1


def reconstruct(
    read: Callable[[Int[np.ndarray, " m"]], Float[np.ndarray, "m d d"]],
    rotations: Float[np.ndarray, "n 3 3"],
    shifts: Float[np.ndarray, "n 2"],
    ctf: CTF,
    scale: Float[np.ndarray, " n"],
    group: Int[np.ndarray, " n"],
    half: Int[np.ndarray, " n"],
    noise_power: Float[np.ndarray, "g s"],
    box_size: int,
    pixel_size: float,
    mask: Float[np.ndarray, "d d d"] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reconstruction:
    """Back-project particles with their CTFs, Wiener-filtered by the FSC of their half-sets.

    Args:
        read: returns the real images of given rows.
        rotations: poses.
        shifts: origins in Å.
        ctf: of the particles.
        scale: per-particle scale.
        group: row of `noise_power` of each particle, 0-based.
        half: 1 or 2.
        noise_power: noise of each group in shells 0 … d/2 − 1.
        box_size: of the images.
        pixel_size: Å.
        mask: soft mask of the masked FSC; a sphere where None.
        progress: called with particles done and in all.

    Raises:
        ValueError: where a half-set is empty.

    Source: Penczek, Methods Enzymol. 482 (2010) 1, section 3.
    """
    for h in (1, 2):
        if not np.any(half == h):
            raise ValueError(f"half-set {h}: found no particle, expected at least one")
    padding = choose_padding(box_size)
    grid = make_grid(box_size * padding, box_size // 2 - 2, padding)
    extent = jnp.float32(box_size * pixel_size)
    n_voxels = grid.kxyz.shape[0]
    numerator = [jnp.zeros(n_voxels, jnp.complex64)] * 2
    denominator = [jnp.zeros(n_voxels, jnp.float32)] * 2
    size = max(1, 2_000_000 // int(grid.kx.shape[0]))
    done = 0
    for h in (0, 1):
        members = np.flatnonzero(half == h + 1)
        for part in chunks(len(members), size):
            # One compiled shape: the last chunk is filled up with particles of zero weight.
            rows = np.resize(members[part], size)
            weights = pixel_weights(
                CTF(
                    **{
                        k: jnp.asarray(np.asarray(v)[rows], jnp.float32)
                        for k, v in vars(ctf).items()
                    }
                ),
                jnp.asarray(scale[rows] * (np.arange(size) < len(part)), jnp.float32),
                jnp.asarray(group[rows]),
                jnp.asarray(noise_power, jnp.float32),
                grid,
                extent,
            )
            images = np.zeros((size, box_size, box_size), np.float32)
            images[: len(part)] = read(members[part])
            pixels = images_to_pixels(jnp.asarray(images), grid.kx, grid.ky)
            pixels = pixels * shift_phases(jnp.asarray(shifts[rows], jnp.float32), grid, extent)
            whiten = jnp.sqrt(2 / jnp.asarray(noise_power, jnp.float32))[:, grid.pixel_shells]
            num, den = _accumulate(
                pixels * whiten[group[rows]],
                weights,
                jnp.asarray(rotations[rows], jnp.float32),
                grid,
            )
            numerator[h], denominator[h] = numerator[h] + num, denominator[h] + den
            done += len(part)
            progress(done, len(half))
    return _solve(
        add_friedel_mates(jnp.stack(numerator), grid),
        add_friedel_mates(jnp.stack(denominator), grid),
        grid,
        box_size,
        sphere(box_size) if mask is None else mask,
    )


def _solve(numerator, denominator, grid, box_size: int, mask) -> Reconstruction:
    padded = grid.box_size
    margin = (padded - box_size) // 2
    inner = (slice(margin, margin + box_size),) * 3
    wide_mask = np.zeros((padded,) * 3, np.float32)
    wide_mask[inner] = mask
    volume, halves, _ = solve_map(numerator, denominator, jnp.asarray(wide_mask), grid)
    half1, half2 = (np.asarray(h)[inner] for h in halves)
    round_mask = sphere(box_size)
    return Reconstruction(
        np.asarray(volume)[inner],
        (half1, half2),
        volume_fsc(half1 * round_mask, half2 * round_mask),
        volume_fsc(half1 * mask, half2 * mask),
    )
