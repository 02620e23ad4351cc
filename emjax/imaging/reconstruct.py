"""Reconstruction of one set of particles at full box, with half-maps and FSC."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from emjax.errors import InputError
from emjax.imaging.ctf import CTF
from emjax.imaging.fsc import (
    corrected_fsc,
    flat_precision,
    masked_fsc,
    wiener_precision,
)
from emjax.imaging.grids import FourierGrid, half_spectra, make_grid, spectra_to_pixels
from emjax.imaging.insertion import Table, add_images, finished, new_table
from emjax.imaging.masks import sphere
from emjax.imaging.particles import chunks, pixel_weights
from emjax.imaging.phases import shift_phases
from emjax.imaging.solve import real_map, shell_levels
from emjax.imaging.symmetry import parse_point_group

CHUNK_PIXELS = 1_000_000


@dataclass(frozen=True)
class Reconstruction:
    """Maps of one class at full box; half-maps unmasked and unfiltered.

    `fsc` is that of the half-maps in the largest sphere; `fsc_masked` that inside the mask,
    corrected for what the mask itself correlates.
    """

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
    point_group: str = "C1",
) -> Reconstruction:
    """Back-project particles with their CTFs, Wiener-filtered by the FSC of their half-sets.

    A class of few particles may lack a half-set: its half-map and the FSC are 0 then, and the map
    is hardly filtered.

    Args:
        read: returns the real images of given rows; called by two threads.
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
        point_group: of the particle, in RELION's axes.

    Raises:
        InputError: where both half-sets are empty or the point group unknown.

    Source: Penczek, Methods Enzymol. 482 (2010) 1, section 3.
    """
    parse_point_group(point_group)
    if not np.isin(half, (1, 2)).any():
        raise InputError(place="half-sets", found="no particle", expected="at least one")
    padding = choose_padding(box_size)
    highest = box_size // 2 - (1 if padding > 1 else 2)
    grid = make_grid(box_size * padding, highest, padding, pixels_only=True)
    noise, extent = jnp.asarray(noise_power, jnp.float32), jnp.float32(box_size * pixel_size)
    members = [np.flatnonzero(half == h) for h in (1, 2)]
    size = int(np.clip(CHUNK_PIXELS // grid.kx.shape[0], 1, max(map(len, members))))
    done, lock = 0, threading.Lock()

    def back_project(own: Int[np.ndarray, " k"]) -> Table:
        nonlocal done
        table = new_table(grid)
        for part in chunks(len(own), size):
            # One compiled shape: the last chunk is filled up with particles of zero weight.
            rows = np.resize(own[part], size)
            images = np.zeros((size, box_size, box_size), np.float32)
            images[: len(part)] = read(own[part])
            pixels, weights = _whitened(
                jnp.asarray(spectra_to_pixels(half_spectra(images), grid.kx, grid.ky)),
                jnp.asarray(shifts[rows], jnp.float32),
                jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), ctf.take(rows)),
                jnp.asarray(scale[rows] * (np.arange(size) < len(part)), jnp.float32),
                jnp.asarray(group[rows], jnp.int32),
                noise,
                grid,
                extent,
            )
            table = add_images(table, pixels, weights, rotations[rows], grid)
            with lock:
                done += len(part)
                progress(done, len(half))
        return table

    # Side by side; each adds its particles in their order, the same bits each time.
    with ThreadPoolExecutor(2) as pool:
        tables = list(pool.map(back_project, members))
    # Popped: at 256 pixels a table takes a gigabyte.
    halves = [finished(tables.pop(0), point_group) for _ in range(2)]
    return _solve(halves, padding, box_size, mask)


@eqx.filter_jit
def _whitened(
    pixels: Complex[Array, "m p"],
    shifts: Float[Array, "m 2"],
    ctf: CTF,
    scale: Float[Array, " m"],
    group: Int[Array, " m"],
    noise: Float[Array, "g s"],
    grid: FourierGrid,
    extent: Float[Array, ""],
) -> tuple[Complex[Array, "m p"], Float[Array, "m p"]]:
    """Centred, whitened pixels, and the weights of their slices."""
    pixels = pixels * shift_phases(shifts, grid, extent)
    whiten = jnp.sqrt(2 / noise)[:, grid.pixel_shells]
    return pixels * whiten[group], pixel_weights(ctf, scale, group, noise, grid, extent)


def _solve(
    halves: list[np.ndarray],
    padding: int,
    box_size: int,
    mask: Float[np.ndarray, "d d d"] | None,
) -> Reconstruction:
    """Half-maps, hardly filtered, and the joint map filtered by their FSC inside the mask."""
    levels = shell_levels(halves)

    def filtered(sums: list[np.ndarray], prior: Array | np.ndarray) -> np.ndarray:
        return real_map(sums, np.asarray(prior, np.float32), padding, box_size)

    def half_map(half: np.ndarray, level: np.ndarray) -> np.ndarray:
        if not level.any():
            return np.zeros((box_size,) * 3, np.float32)
        return filtered([half], flat_precision(level))

    first, second = (half_map(*half) for half in zip(halves, levels, strict=True))
    level = levels.sum(0)
    fsc = fsc_masked = np.zeros(box_size // 2)
    prior = flat_precision(level)
    if levels.any(1).all():
        round_mask = sphere(box_size)
        fsc_masked = corrected_fsc((first, second), round_mask if mask is None else mask)[0]
        fsc = masked_fsc(first, second, round_mask)
        # Shells of the padded transform are finer than those of the FSC.
        fine = np.arange(len(level)) / padding
        fine = np.interp(fine, np.arange(len(fsc_masked)), fsc_masked)
        prior = wiener_precision(jnp.asarray(fine), jnp.asarray(level))
    return Reconstruction(filtered(halves, prior), (first, second), fsc, fsc_masked)
