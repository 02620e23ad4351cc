"""A scan of the mask for small differences: the covariance of images in each of many windows.

Among n particles a difference of variance λ (of the noise in one image) stands out of p independent
voxels where λ² n > p. In a whole mask p is thousands, in a window that holds a ligand a hundred. A
back-projected image is constant along its line of sight, so its value at a point of the window is a
pixel of the filtered image, and the covariance of every window is cheap. Its strongest direction is
found in one half of the particles and scored in the other, so that chance scores nothing.

Source: Baik, Ben Arous & Péché, Ann. Probab. 33 (2005) 1643; Johnstone & Lu, J. Am. Stat. Assoc.
104 (2009) 682.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int
from scipy.sparse.linalg import eigsh
from scipy.spatial import KDTree

from emjax.classify.operators.pixels import PixelOperators, to_table
from emjax.imaging.grids import FourierGrid, gridding, pixels_to_images
from emjax.imaging.masks import soft_edge

SHARE = 0.04  # of the mask's volume in one window
FILLED = 0.3  # of a window at the mask's edge, at least
OVERSAMPLING = 4  # of filtered images, in which values are interpolated linearly
SLICED = 0.6  # of a voxel's density in slices without the division by the gridding function
CONTRAST = 0.3  # prior width of what is left of a particle's scale
FEWEST = 300  # particles of a class that is scanned
HALVES = (2005, 1643)  # seed of the halves within a fold
ROWS = 1024  # particles whose covariances are added up at once
RESOLVED = 0.02  # of the largest eigenvalue of the noise: less lies beyond the resolution


class Windows(NamedTuple):
    """Overlapping balls that cover a mask."""

    points: Int[np.ndarray, "m 3"]  # x, y, z of the mask's voxels from the box centre
    members: list[Int[np.ndarray, " p"]]  # points of each window
    centres: Float[np.ndarray, "w 3"]  # in voxels from the box centre
    radius: float  # in voxels
    box_size: int

    def soft(self, index: int, box_size: int) -> Float[np.ndarray, "d d d"]:
        """One window in a box of the same extent, with an edge of half its radius."""
        axis = (np.arange(box_size) - box_size // 2) * (self.box_size / box_size)
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        distance = np.linalg.norm(np.stack([x, y, z], -1) - self.centres[index], axis=-1)
        return soft_edge(distance, self.radius, 1.5 * self.radius)


class Covariances(NamedTuple):
    """Second moments of back-projected residuals, and of noise alone, summed over particles."""

    windows: list[Float[np.ndarray, "k 2 p p"]]  # by class and half
    noise: Float[np.ndarray, "l l l"]  # by the distance of two points
    counts: Int[np.ndarray, "k 2"]


class Strongest(NamedTuple):
    """The direction of each window in which images vary most, by class and of all together."""

    excess: Float[np.ndarray, "g w"]  # beyond that of the other windows, in standard errors
    directions: list[list[Float[np.ndarray, " p"]]]  # standard deviation of the density


def window_radius(mask: Float[np.ndarray, "d d d"]) -> float:
    """Radius in voxels of a ball with the windows' share of a mask's volume."""
    return float((0.75 / np.pi * SHARE * np.sum(_inside(mask))) ** (1 / 3))


def tile_mask(mask: Float[np.ndarray, "d d d"]) -> Windows:
    """Windows of a fixed share of a mask's volume, a radius apart."""
    d, radius = len(mask), window_radius(mask)
    points = np.argwhere(_inside(mask))[:, ::-1] - d // 2
    reach = int(d / 2 / radius) + 1
    steps = radius * np.arange(-reach, reach + 1)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    found = KDTree(points).query_ball_point(lattice, radius, return_sorted=True)
    kept = [i for i, own in enumerate(found) if len(own) >= FILLED * SHARE * len(points)]
    return Windows(points, [np.array(found[i]) for i in kept], lattice[kept], radius, d)


def _inside(mask: Float[np.ndarray, "d d d"]) -> Bool[np.ndarray, "d d d"]:
    # Towards the faces of the box, slices carry what interpolation mirrors from the other side.
    return (mask > 0.5 * mask.max()) & (gridding(len(mask)) > SLICED)


def sum_covariances(
    operators: PixelOperators,
    volumes: Complex[Array, "k v"],
    labels: Int[np.ndarray, " n"],
    nuisance: Complex[Array, "u v"],
    windows: Windows,
    folds: tuple[int, ...] | None = None,
) -> Covariances:
    """Covariances, in every window, of what is left of images once their class is subtracted.

    Args:
        operators: of the particles.
        volumes: of the classes.
        labels: class of each particle.
        nuisance: volumes whose coordinates are marginalised, in units of their prior width.
        windows: of a mask in the operators' box.
        folds: particles to use; all where None.
    """
    grid, k = operators.grid, len(volumes)
    table = to_table(jnp.concatenate([volumes, nuisance]))
    points = jnp.asarray(windows.points, jnp.float32)
    lags = jnp.asarray(_lags(windows), jnp.float32)
    # A stream of its own: the folds are halves by chance too.
    second_half = np.random.default_rng(HALVES).permutation(len(labels)) % 2
    sums = [np.zeros((k, 2, len(m), len(m)), np.float32) for m in windows.members]
    noise, counts, waiting = np.zeros(len(lags)), np.zeros((k, 2), int), []
    for rows, block in operators.blocks(folds):
        filled = np.resize(rows, len(block.present))
        values, kernel = _back_project(
            block.pixels,
            block.slices(table, k + len(nuisance)),
            jnp.asarray(labels[filled]),
            block.weights(),
            jnp.asarray(operators.particles.rotations[filled], jnp.float32),
            points,
            lags,
            grid,
            k,
        )
        noise += np.asarray(kernel, np.float64)
        np.add.at(counts, (labels[rows], second_half[rows]), 1)
        waiting.append((labels[rows] * 2 + second_half[rows], np.asarray(values)[: len(rows)]))
        if sum(len(part) for part, _ in waiting) >= ROWS:
            _add_up(waiting, windows, sums)
            waiting = []
    _add_up(waiting, windows, sums)
    side = 2 * int(2 * windows.radius) + 1
    return Covariances(sums, noise.reshape(side, side, side), counts)


def _add_up(
    waiting: list[tuple[np.ndarray, np.ndarray]], windows: Windows, sums: list[np.ndarray]
) -> None:
    if not waiting:
        return
    part_of = np.concatenate([part for part, _ in waiting])
    values = np.concatenate([value for _, value in waiting])
    for part in np.unique(part_of):
        of_part = values[part_of == part]
        for members, total in zip(windows.members, sums, strict=True):
            own = of_part[:, members]
            total[part // 2, part % 2] += own.T @ own


@eqx.filter_jit
def _back_project(
    pixels: Float[Array, "b p 2"],
    slices: Float[Array, "b c t"],
    labels: Int[Array, " b"],
    weights: Float[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    points: Float[Array, "m 3"],
    lags: Float[Array, "l 3"],
    grid: FourierGrid,
    n_classes: int,
) -> tuple[Float[Array, "b m"], Float[Array, " l"]]:
    """Residuals back-projected to points, and the covariance of unit noise by distance."""
    b, p, _ = pixels.shape
    own = jnp.take_along_axis(slices, labels[:, None, None], 1)
    known = jnp.concatenate([CONTRAST * own, slices[:, n_classes:]], 1)
    residual = pixels.reshape(b, -1) - own[:, 0]
    system = jnp.einsum("but,bwt->buw", known, known) + jnp.eye(known.shape[1])
    inner = jnp.einsum("but,bt->bu", known, residual)
    u = jnp.linalg.solve(system, inner[..., None])[..., 0]
    residual = (residual - jnp.einsum("bu,but->bt", u, known)).reshape(b, p, 2)
    left = jax.lax.complex(residual[..., 0], residual[..., 1])
    values = _values_at(left * weights, rotations, points, grid)
    kernel = _values_at(weights**2 + 0j, rotations, lags, grid)
    return values, jnp.sum(kernel, 0)


def _values_at(
    pixels: Complex[Array, "b p"],
    rotations: Float[Array, "b 3 3"],
    points: Float[Array, "m 3"],
    grid: FourierGrid,
) -> Float[Array, "b m"]:
    """Σ Re(F e^{2πi k·Rx}) over the independent pixels, interpolated in oversampled images."""
    size = OVERSAMPLING * grid.box_size
    images = pixels_to_images(pixels, grid.kx, grid.ky, size) * (size**2 / 2)
    place = jnp.einsum("bij,mj->bmi", rotations[:, :2], points, precision="highest")
    place = place * OVERSAMPLING + size // 2
    corner = jnp.floor(place).astype(jnp.int32)
    x, y = jnp.moveaxis(place - corner, -1, 0)
    column, row = jnp.moveaxis(corner, -1, 0)
    flat = images.reshape(len(images), -1)

    def at(down: int, right: int) -> Float[Array, "b m"]:
        index = (row + down) % size * size + (column + right) % size
        return jnp.take_along_axis(flat, index, 1)

    upper = at(0, 0) * (1 - x) + at(0, 1) * x
    lower = at(1, 0) * (1 - x) + at(1, 1) * x
    return upper * (1 - y) + lower * y


def _lags(windows: Windows) -> Int[np.ndarray, "l 3"]:
    """Every distance between two points of one window."""
    reach = int(2 * windows.radius)
    axis = np.arange(-reach, reach + 1)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def strongest_directions(found: Covariances, windows: Windows) -> Strongest:
    """The direction of the largest variance in each window, scored in the other half.

    The last group is all particles together. Groups of few particles have no excess.
    """
    middle = len(found.noise) // 2
    kernel = found.noise / found.counts.sum()
    counts = np.concatenate([found.counts, found.counts.sum(0, keepdims=True)])
    enough = counts.sum(1) >= FEWEST
    scores = np.zeros((len(counts), len(windows.members)))
    directions: list[list[np.ndarray]] = [[] for _ in counts]
    for w, (members, sums) in enumerate(zip(windows.members, found.windows, strict=True)):
        points = windows.points[members]
        lag = points[:, None] - points[None] + middle
        values, vectors = np.linalg.eigh(kernel[lag[..., 0], lag[..., 1], lag[..., 2]])
        kept = values > RESOLVED * values[-1]
        whiten = vectors[:, kept] / np.sqrt(values[kept])
        for g, both in enumerate(np.concatenate([sums, sums.sum(0, keepdims=True)])):
            if not enough[g]:
                directions[g].append(np.zeros(len(members)))
                continue
            first, second = (whiten.T @ both[h].astype(np.float64) @ whiten for h in (0, 1))
            a, b = _top(first), _top(second)
            scores[g, w] = 0.5 * (a @ second @ a / counts[g, 1] + b @ first @ b / counts[g, 0])
            directions[g].append(whiten @ _top(first + second))
    excess = scores - np.median(scores, 1, keepdims=True)
    for g, own in enumerate(directions):
        directions[g] = [np.sqrt(max(e, 1e-3)) * d for e, d in zip(excess[g], own, strict=True)]
    return Strongest(excess * np.sqrt(counts.sum(1, keepdims=True) / 2), directions)


def _top(matrix: Float[np.ndarray, "p p"]) -> Float[np.ndarray, " p"]:
    """The eigenvector of the largest eigenvalue."""
    if len(matrix) < 3:
        return np.linalg.eigh(matrix)[1][:, -1]
    start = np.random.default_rng(0).standard_normal(len(matrix))
    found = eigsh(matrix, k=1, which="LA", v0=start, tol=1e-3)  # type: ignore[arg-type]
    return found[1][:, 0]
