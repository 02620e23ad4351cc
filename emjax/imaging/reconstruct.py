"""Reconstruction of one set of particles at full box, with half-maps and FSC."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float, Int

from emjax.errors import InputError
from emjax.imaging.ctf import CTF
from emjax.imaging.fsc import (
    corrected_fsc,
    flat_precision,
    regularised,
    volume_fsc,
    wiener_precision,
)
from emjax.imaging.grids import FourierGrid, half_spectra, make_grid, spectra_to_pixels
from emjax.imaging.masks import sphere
from emjax.imaging.particles import chunks, pixel_weights
from emjax.imaging.phases import shift_phases
from emjax.imaging.projector import empty_table, insert_images
from emjax.imaging.symmetry import parse_point_group, symmetrise_table

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
    size = int(np.clip(CHUNK_PIXELS // grid.kx.shape[0], 1, np.bincount(half, minlength=3).max()))
    tables = [empty_table(grid) for _ in (1, 2)]
    noise = jnp.asarray(noise_power, jnp.float32)
    # The half-sets alternate: JAX inserts one while the other is read.
    members = [np.flatnonzero(half == h) for h in (1, 2)]
    parts = [[(h, part) for part in chunks(len(members[h]), size)] for h in (0, 1)]
    done = 0
    for h, part in (one for pair in zip_longest(*parts) for one in pair if one):
        # One compiled shape: the last chunk is filled up with particles of zero weight.
        rows = np.resize(members[h][part], size)
        images = np.zeros((size, box_size, box_size), np.float32)
        images[: len(part)] = read(members[h][part])
        pixels, weights = _whitened(
            jnp.asarray(spectra_to_pixels(half_spectra(images), grid.kx, grid.ky)),
            jnp.asarray(shifts[rows], jnp.float32),
            jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), ctf.take(rows)),
            jnp.asarray(scale[rows] * (np.arange(size) < len(part)), jnp.float32),
            jnp.asarray(group[rows], jnp.int32),
            noise,
            grid,
            jnp.float32(box_size * pixel_size),
        )
        poses = jnp.asarray(rotations[rows], jnp.float32)
        tables[h] = insert_images(tables[h].block_until_ready(), pixels, weights, poses, grid)
        done += len(part)
        progress(done, len(half))
    # Made when wanted: at 256 pixels a table takes a gigabyte.
    sums = (np.asarray(symmetrise_table(_add_mates(tables.pop(0)), point_group)) for _ in range(2))
    mask = sphere(box_size) if mask is None else mask
    return _solve(sums, _table_shells(tables[0].shape[:3]), padding, box_size, mask)


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


@functools.partial(jax.jit, donate_argnums=0)
def _add_mates(table: Float[Array, "X Y Z 3"]) -> Float[Array, "X Y Z 3"]:
    # On the plane x = 0 a coefficient was gathered in two rows.
    mates = table[0, ::-1, ::-1] * jnp.array([1, -1, 1], table.dtype)
    return table.at[0].add(mates)


def _solve(
    sums: Iterator[np.ndarray],
    shells: Int[np.ndarray, "X Y Z"],
    padding: int,
    box_size: int,
    mask: Float[np.ndarray, "d d d"],
) -> Reconstruction:
    """Half-maps, hardly filtered, and the joint map filtered by their FSC inside the mask."""
    half_maps: list[np.ndarray] = []
    numerator = np.zeros(shells.shape, np.complex64)
    denominator = np.zeros(shells.shape, np.float32)
    for table in sums:
        own, weight = np.empty(shells.shape, np.complex64), table[..., 2]
        own.real, own.imag = table[..., 0], table[..., 1]
        if not weight.any():
            half_maps.append(np.zeros((box_size,) * 3, np.float32))
            continue
        prior = flat_precision(_shell_means(weight, shells))
        half_maps.append(
            _real_space(np.asarray(regularised(own, weight, prior, shells)), padding, box_size)
        )
        numerator += own
        denominator += weight
    pair = half_maps[0], half_maps[1]
    lacking = not all(half_map.any() for half_map in pair)
    fsc_masked = np.zeros(box_size // 2) if lacking else corrected_fsc(pair, mask)[0]
    # Shells of the padded transform are finer than those of the FSC.
    fine = np.interp(np.arange(shells.max() + 1) / padding, np.arange(len(fsc_masked)), fsc_masked)
    level = _shell_means(denominator, shells)
    prior = flat_precision(level)
    if not lacking:
        prior = np.asarray(wiener_precision(jnp.asarray(fine), jnp.asarray(level)), np.float32)
    joint = np.asarray(regularised(numerator, denominator, prior, shells))
    round_mask = sphere(box_size)
    return Reconstruction(
        _real_space(joint, padding, box_size),
        pair,
        fsc_masked if lacking else volume_fsc(pair[0] * round_mask, pair[1] * round_mask),
        fsc_masked,
    )


def _table_shells(shape: tuple[int, ...]) -> Int[np.ndarray, "X Y Z"]:
    """Shell of each voxel of a table, x from 0, y and z centred."""
    x, y, z = (np.arange(n, dtype=np.float32) for n in shape)
    y, z = y - shape[1] // 2, z - shape[2] // 2
    return np.rint(np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)).astype(np.int16)


def _shell_means(
    values: Float[np.ndarray, "X Y Z"], shells: Int[np.ndarray, "X Y Z"]
) -> Float[np.ndarray, " s"]:
    n = int(shells.max()) + 1
    total, count = np.zeros(n), np.zeros(n)
    # A plane at a time: bincount copies its arguments to eight bytes per voxel.
    for plane, shell in zip(values, shells, strict=True):
        total += np.bincount(shell.ravel(), plane.ravel(), n)
        count += np.bincount(shell.ravel(), minlength=n)
    return (total / np.maximum(count, 1)).astype(np.float32)


def _real_space(
    values: Complex[np.ndarray, "X Y Z"], padding: int, box_size: int
) -> Float[np.ndarray, "d d d"]:
    """Central box of the padded volume, trilinear interpolation's window divided out."""
    padded, (nx, ny, nz) = padding * box_size, values.shape
    spectrum = np.zeros((padded, padded, padded // 2 + 1), np.complex64)
    y, z = np.arange(ny) - ny // 2, np.arange(nz) - nz // 2
    spectrum[(z % padded)[:, None], (y % padded), :nx] = values.transpose(2, 1, 0)
    volume = np.asarray(scipy.fft.irfftn(spectrum, (padded,) * 3, overwrite_x=True, workers=-1))
    offset = np.arange(box_size) - box_size // 2
    window = (np.sinc(offset / padded) ** 2).astype(np.float32)
    box = volume[np.ix_(offset, offset, offset)]
    return box / (window[:, None, None] * window[:, None] * window)
