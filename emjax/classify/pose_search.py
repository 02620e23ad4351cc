"""Poses of single images sought over all orientations and shifts, against given volumes.

Low frequencies first: every image against a table of projections, all orientations and shifts in
one matrix product; the best few are then moved to the nearest maximum with all frequencies. Meant
for the few particles whose pose is doubted; the given pose plays no part but to centre the search.

Source: exhaustive matching by cross-correlation: Penczek, Grassucci & Frank, Ultramicroscopy 53
(1994) 251.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float
from scipy.spatial.transform import Rotation

from emjax.classify.fit import Fit, Target, fit_particles, make_target
from emjax.classify.pose_error import PoseError
from emjax.imaging.grids import FourierGrid, resample
from emjax.imaging.maps import slicing_values
from emjax.imaging.particles import Particles, chunks, coarsen, weights_of
from emjax.imaging.phases import shift_phases
from emjax.imaging.projector import make_slices, slice_volume

COARSE_RADIUS = 8  # Fourier pixels of the exhaustive search
STEP = 1.2  # between orientations, in units of what moves the highest frequency by one pixel
CANDIDATES = 12  # orientations per image that are refined
IMAGES = 32  # at once
REFINEMENTS = 6  # steps to the nearest maximum
LARGEST_MOVE = 2.0  # prior widths in one step; beyond, derivatives say little


@dataclass(frozen=True)
class Poses:
    """Poses found for particles, and how well these fit there."""

    rotations: Float[np.ndarray, "n 3 3"]
    moves: Float[np.ndarray, "n 2"]  # Å, to add to the origins
    score: Float[np.ndarray, " n"]  # as of `fit.Fit`

    def take(self, which: np.ndarray) -> "Poses":
        """Those of some of the particles."""
        return Poses(self.rotations[which], self.moves[which], self.score[which])

    @classmethod
    def none(cls) -> "Poses":
        """Of no particle."""
        return cls(np.zeros((0, 3, 3), np.float32), np.zeros((0, 2), np.float32), np.zeros(0))


def orientations(step: float) -> Float[np.ndarray, "r 3 3"]:
    """Rotations at about equal distances (rad): a spiral of directions, equal in-plane angles."""
    n = max(4, round(4 * np.pi / step**2))
    height = 1 - (2 * np.arange(n) + 1) / n
    rot = np.pi * (1 + np.sqrt(5)) * np.arange(n)
    psi = np.arange(0, 2 * np.pi, step)
    angles = np.stack(
        [np.repeat(rot, len(psi)), np.repeat(np.arccos(height), len(psi)), np.tile(psi, n)], 1
    )
    return Rotation.from_euler("ZYZ", angles).as_matrix().astype(np.float32)


def disc(radius: float, step: float) -> Float[np.ndarray, "m 2"]:
    """Shifts in a disc, in the units of its radius."""
    ticks = np.arange(-np.floor(radius / step), np.floor(radius / step) + 1) * step
    x, y = np.meshgrid(ticks, ticks)
    inside = np.hypot(x, y) <= radius + 1e-6
    return np.stack([x[inside], y[inside]], 1).astype(np.float32)


def search_poses(
    particles: Particles,
    volume: Float[np.ndarray, "d d d"],
    mask: Float[np.ndarray, "d d d"],
    max_shift: float,
) -> Poses:
    """The best pose of each particle over all orientations and shifts.

    Args:
        particles: few; their own rotations are not used.
        volume: of the cropped box.
        mask: solvent mask.
        max_shift: Å from the given centre.
    """
    rotations, moves = _exhaustive(particles, volume * mask, max_shift)
    n, c = moves.shape[:2]
    rows = np.repeat(np.arange(n), c)
    width = PoseError(np.degrees(STEP / COARSE_RADIUS) / 2, particles.extent / COARSE_RADIUS / 8)
    target = make_target(volume[None], mask, particles, width)
    found = nearest_maxima(
        particles, target, width, rows, rotations.reshape(-1, 3, 3), moves.reshape(-1, 2)
    )
    best = found.score.reshape(n, c).argmax(1) + c * np.arange(n)
    return Poses(found.rotations[best], found.moves[best], found.score[best])


def _exhaustive(
    particles: Particles, volume: Float[np.ndarray, "d d d"], max_shift: float
) -> tuple[Float[np.ndarray, "n c 3 3"], Float[np.ndarray, "n c 2"]]:
    """The most probable orientations of each particle at low frequencies, with their shift."""
    radius = min(COARSE_RADIUS, particles.radius)
    coarse = replace(particles, scale=np.ones(particles.n, np.float32))
    if radius < particles.radius:
        coarse = coarsen(coarse, radius)
    grid = coarse.grid
    turned = orientations(STEP / radius)
    values = _cropped_values(volume, grid)
    table = _projections(values, jnp.asarray(turned), grid)
    shifts = disc(max_shift, coarse.extent / radius / 4)
    phases = shift_phases(jnp.asarray(shifts), grid, coarse.extent)
    keep = min(CANDIDATES, len(turned))
    rotations = np.empty((particles.n, keep, 3, 3), np.float32)
    moves = np.empty((particles.n, keep, 2), np.float32)
    for rows in chunks(particles.n, IMAGES):
        part = coarse.take(np.resize(rows, IMAGES))
        weights = weights_of(part, grid)
        score, shift = map(np.asarray, _match(jnp.asarray(part.images), weights, phases, *table))
        best = np.argpartition(-score, keep - 1, axis=1)[: len(rows), :keep]
        rotations[rows] = turned[best]
        moves[rows] = shifts[np.take_along_axis(shift[: len(rows)], best, 1)]
    return rotations, moves


def _cropped_values(volume: Float[np.ndarray, "d d d"], grid: FourierGrid) -> Complex[Array, " v"]:
    """Coefficients of a volume on the grid of a coarser box of the same extent."""
    return slicing_values(jnp.asarray(resample(volume, grid.box_size)), grid)


def _projections(
    values: Complex[Array, " v"], rotations: Float[Array, "r 3 3"], grid: FourierGrid
) -> tuple[Float[Array, "t r"], Float[Array, "p r"]]:
    """Slices at all orientations, real and imaginary parts, and their power."""
    sliced = jnp.concatenate(
        [
            slice_volume(values, make_slices(rotations[i : i + 1024], grid))
            for i in range(0, len(rotations), 1024)
        ]
    ).T
    return jnp.concatenate([sliced.real, sliced.imag]), jnp.abs(sliced) ** 2


@jax.jit
def _match(
    images: Complex[Array, "b p"],
    weights: Float[Array, "b p"],
    phases: Complex[Array, "s p"],
    table: Float[Array, "t r"],
    power: Float[Array, "p r"],
) -> tuple[Float[Array, "b r"], Array]:
    """Correlation of each image with each projection at its best shift, and which shift that is."""
    moved = (images * weights)[:, None] * phases
    rows = jnp.concatenate([moved.real, moved.imag], -1)
    norm = jnp.sqrt(jnp.maximum((weights**2) @ power, 1e-20))

    def one(image: Float[Array, "s t"]) -> tuple[Array, Array]:
        cross = image @ table
        return cross.max(0), cross.argmax(0)

    best, shift = jax.lax.map(one, rows)
    return best / norm, shift


def nearest_maxima(
    particles: Particles,
    target: Target,
    width: PoseError,
    rows: np.ndarray,
    rotations: Float[np.ndarray, "m 3 3"],
    moves: Float[np.ndarray, "m 2"],
) -> Poses:
    """Poses moved to the nearest maximum of the likelihood by Gauss-Newton steps.

    Args:
        particles: whose images these are.
        target: one volume, with its derivatives at `width`.
        width: prior widths of a step.
        rows: particle of each pose; several poses of one are refined side by side.
        rotations: where to start.
        moves: Å, added to the origins.
    """
    best = Poses(rotations, moves, np.full(len(rows), -np.inf))
    for _ in range(REFINEMENTS):
        here = replace(particles.subset(rows), rotations=rotations)
        fit = fit_particles(here, target, moves)
        better = fit.best > best.score
        best = Poses(
            np.where(better[:, None, None], rotations, best.rotations),
            np.where(better[:, None], moves, best.moves),
            np.maximum(fit.best, best.score),
        )
        rotations, moves = step_poses(rotations, moves, fit, width)
    return best


def step_poses(
    rotations: Float[np.ndarray, "m 3 3"],
    moves: Float[np.ndarray, "m 2"],
    fit: Fit,
    width: PoseError,
) -> tuple[Float[np.ndarray, "m 3 3"], Float[np.ndarray, "m 2"]]:
    """Poses moved by the coordinates of their best volume."""
    best = fit.score.argmax(1)
    u = limit_steps(fit.coordinates[np.arange(len(best)), best])
    turned, further = turn_poses(rotations, u, width)
    return turned, moves + further


def limit_steps(coordinates: Float[np.ndarray, "m 6"]) -> Float[np.ndarray, "m 6"]:
    """Steps in the same direction, none so far that derivatives say little."""
    length = np.linalg.norm(coordinates, axis=1, keepdims=True)
    return coordinates * np.minimum(1, LARGEST_MOVE / np.maximum(length, 1e-9))


def turn_poses(
    rotations: Float[np.ndarray, "m 3 3"], coordinates: Float[np.ndarray, "m 6"], width: PoseError
) -> tuple[Float[np.ndarray, "m 3 3"], Float[np.ndarray, "m 2"]]:
    """Poses moved along the derivatives of a volume, and what that adds to origins in Å.

    Args:
        rotations: poses.
        coordinates: of the three shifts and three rotations, in prior widths.
        width: prior standard deviations.
    """
    shift = np.einsum("nij,nj->ni", rotations[:, :2], coordinates[:, :3] * width.shift)
    turn = Rotation.from_rotvec(-coordinates[:, 3:] * np.deg2rad(width.rotation)).as_matrix()
    return (rotations @ turn).astype(np.float32), shift.astype(np.float32)
