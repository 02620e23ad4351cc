"""Pose errors as coordinates along fixed volumes, and their elimination from the statistics.

A small error of a particle's pose changes its image like a displacement of the volume: along three
shift and three rotation derivatives of the mean map, whatever the pose (the shift along the beam
does nothing by itself). Their coordinates have a prior of the poses' uncertainty; eliminating them
from (g, G) by a Schur complement marginalises the error. First derivatives suffice to classify; the
21 second ones keep the number of classes from growing on the curvature that is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators.pixels import PixelOperators, to_table
from emjax.classify.subspace.basis import Basis, joint_moments
from emjax.classify.subspace.statistics import Statistics, pack
from emjax.imaging.grids import FourierGrid
from emjax.imaging.maps import slicing_values


@dataclass(frozen=True)
class PoseError:
    """Prior widths of the poses, as standard deviations."""

    rotation: float = 2.0 / np.sqrt(3)  # degrees about each axis
    shift: float = 3.0  # Å along each axis


# Of a component's likelihood gain, once wrong poses are marginalised: in simulations true
# differences kept 0.4 and more, components that follow the poses 0.03 to 0.26.
LEFT_BY_POSES = 1 / 3
AUTO_WIDTHS = (0.0, 0.5, 1.0, 2.0)  # of the pose error that auto starts from


def derivative_volumes(
    volume: Float[np.ndarray, "d d d"], voxel_size: float, width: PoseError, order: int = 1
) -> Float[np.ndarray, "m d d d"]:
    """Derivatives of a map by three shifts and three rotations, in units of the prior width.

    Args:
        volume: masked mean map, axes z, y, x.
        voxel_size: Å.
        width: prior standard deviations.
        order: 1 for 6 volumes, 2 for 6 and the 21 second derivatives.
    """
    first = list(_tangents(volume, voxel_size, width))
    pairs = list(combinations_with_replacement(range(6), 2)) if order == 2 else []
    volumes = np.zeros((6 + len(pairs), *volume.shape), np.float32)
    volumes[:6] = first
    for a in range(6 if pairs else 0):
        for b, second in enumerate(_tangents(first[a], voxel_size, width)):
            # ½u² has standard deviation √½; its mean is part of the mean map already. Of two
            # different ones the order hardly matters: the mean of both.
            factor = np.sqrt(0.5) if a == b else 0.5
            volumes[6 + pairs.index((min(a, b), max(a, b)))] += factor * second
    return volumes


def _tangents(volume: np.ndarray, voxel_size: float, width: PoseError) -> Iterator[np.ndarray]:
    """One after another, in double precision: in a large box all of them take gigabytes."""
    d = volume.shape[0]
    frequency = np.fft.fftfreq(d, 1 / d)
    # The highest frequency of an even box has no sign, so it has no derivative.
    frequency[np.abs(frequency) * 2 == d] = 0
    spectrum = np.fft.fftn(volume.astype(np.float64))
    dx, dy, dz = (
        np.fft.ifftn(2j * np.pi / d * _along(frequency, axis) * spectrum).real for axis in (2, 1, 0)
    )
    for shift in (dx, dy, dz):
        yield shift * (width.shift / voxel_size)
    x, y, z = (_along(np.arange(d) - d // 2, axis) for axis in (2, 1, 0))
    angle = np.deg2rad(width.rotation)
    yield (y * dz - z * dy) * angle
    yield (z * dx - x * dz) * angle
    yield (x * dy - y * dx) * angle


def _along(values: np.ndarray, axis: int) -> np.ndarray:
    return values.reshape([-1 if i == axis else 1 for i in range(3)])


def nuisance_coefficients(
    volume: Float[np.ndarray, "d d d"],
    mask: Float[np.ndarray, "d d d"],
    grid: FourierGrid,
    voxel_size: float,
    width: PoseError,
    order: int = 1,
) -> Complex[Array, "m v"]:
    """Coefficients to slice of the derivatives of the masked map."""
    volumes = derivative_volumes(volume * mask, voxel_size, width, order)
    return jnp.stack([slicing_values(volume, grid) for volume in volumes])


def derivative_orders(count: int) -> Float[np.ndarray, " u"]:
    """Order of each of the first `count` derivative volumes: six first ones, then second ones."""
    return np.where(np.arange(count) < 6, 1.0, 2.0)


def marginal_likelihoods(
    pixels: Float[Array, "b t"], models: Float[Array, "b k t"], nuisance: Float[Array, "b m t"]
) -> tuple[Float[Array, "b k"], Float[Array, "b k t"]]:
    """Log-likelihood of each particle and class without −½|F|², pose errors integrated out.

    Args:
        pixels: F, real and imaginary parts.
        models: CPV of each class.
        nuisance: slices of the derivative volumes, in units of their prior width.

    Returns:
        Log-likelihoods, and what is left of the pixels at the most probable pose error.
    """
    ell = jnp.sum((pixels[:, None] - 0.5 * models) * models, -1)
    residuals = pixels[:, None] - models
    if nuisance.shape[1] == 0:
        return ell, residuals
    system = jnp.einsum("bmt,bnt->bmn", nuisance, nuisance) + jnp.eye(nuisance.shape[1])
    inner = jnp.einsum("bmt,bkt->bmk", nuisance, residuals)
    u = jnp.linalg.solve(system, inner)
    ell = ell + 0.5 * jnp.sum(u * inner, 1) - 0.5 * jnp.linalg.slogdet(system)[1][:, None]
    return ell, residuals - jnp.einsum("bmk,bmt->bkt", u, nuisance)


def marginalise(
    linear: Float[np.ndarray, "b m"],
    quadratic: Float[np.ndarray, "b m m"],
    n_components: int,
    scale: float,
    orders: Float[np.ndarray, " u"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eliminate the coordinates after the first q: g, G and what they add to the log-likelihood.

    Args:
        linear: g of components and nuisance volumes together.
        quadratic: their G.
        n_components: q.
        scale: prior width, in units of the one the nuisance volumes were made for.
        orders: derivative order of each nuisance volume; a second derivative scales twice.
    """
    q = n_components
    g, big_g = linear[:, :q], quadratic[:, :q, :q]
    if scale == 0 or linear.shape[1] == q:
        return g, big_g, np.zeros(len(g))
    s = scale**orders
    nuisance = quadratic[:, q:, q:] * s[:, None] * s + np.eye(len(s), dtype=linear.dtype)
    cross = quadratic[:, :q, q:] * s
    inner = linear[:, q:] * s
    factor = np.linalg.cholesky(nuisance)
    right = np.linalg.solve(factor, np.concatenate([np.swapaxes(cross, 1, 2), inner[..., None]], 2))
    half, last = right[:, :, :q], right[:, :, q]
    gained = 0.5 * np.sum(last**2, 1)
    gained -= np.sum(np.log(np.diagonal(factor, axis1=1, axis2=2)), 1)
    reduced = big_g - np.einsum("buk,bul->bkl", half, half)
    return g - np.einsum("buk,bu->bk", half, last), reduced, gained


def nuisance_modes(exact: Statistics, marginalised: Statistics) -> list[dict[str, float | bool]]:
    """How far each component follows the pose error, told without knowing the truth.

    Args:
        exact: statistics as if poses were exact.
        marginalised: the same basis with the pose error eliminated.

    Returns:
        A record a component: the fraction of its image power that pose derivatives explain, the
        excess kurtosis of its coordinates (states lie apart, errors in a bell), the variance gain
        of the likelihood before and after marginalising, and whether it is a nuisance mode.
    """
    powers = [statistics.powers() for statistics in (exact, marginalised)]
    before, after = (power.sum(0, dtype=np.float64) for power in powers)
    records = []
    for j in range(exact.n_components):
        gains = []
        for statistics, all_powers in zip((exact, marginalised), powers):
            g, power = (x[:, j].astype(np.float64) for x in (statistics.linear(), all_powers))
            gains.append(float(np.sum(0.5 * g**2 / (1 + power) - 0.5 * np.log1p(power))))
        coordinates = exact.linear()[:, j] / (1 + powers[0][:, j])
        centred = coordinates - coordinates.mean()
        kurtosis = float(np.mean(centred**4) / np.mean(centred**2) ** 2 - 3)
        explained = float(1 - after[j] / max(before[j], 1e-30))
        records.append(
            {
                "component": float(j + 1),
                "explained_by_pose": explained,
                "kurtosis": kurtosis,
                "gain_exact": gains[0],
                "gain_marginalised": gains[1],
                "nuisance": bool(gains[0] > 0 and gains[1] < LEFT_BY_POSES * gains[0]),
            }
        )
    return records


def project_statistics(
    operators: PixelOperators,
    basis: Basis,
    nuisance: Complex[Array, "m v"] | None = None,
    scales: tuple[float, ...] = (0.0,),
    folds: tuple[int, ...] | None = None,
) -> list[Statistics]:
    """Statistics of the particles in a basis, one set a width of the pose error; one pass.

    Args:
        operators: of the particles.
        basis: mean and components.
        nuisance: derivative volumes, the six first ones first.
        scales: prior widths, in units of the one `nuisance` was made for; 0 for exact poses.
        folds: particles wanted; all where None. The rows of the others stay zero.
    """
    q, n = basis.n_components, operators.particles.n
    volumes = jnp.concatenate([basis.mean[None], basis.components])
    orders = np.zeros(0)
    if nuisance is not None:
        volumes = jnp.concatenate([volumes, nuisance])
        orders = derivative_orders(len(nuisance))
    table = to_table(volumes)
    dtype = table.dtype
    features = [np.zeros((n, q * (q + 3) // 2), dtype) for _ in scales]
    offsets = [np.zeros(n) for _ in scales]
    for rows, block in operators.blocks(folds):
        linear, quadratic, slices = joint_moments(block, table, len(volumes))
        pixels = block.pixels.reshape(len(slices), -1)
        base = np.asarray(jnp.sum((pixels - 0.5 * slices[:, 0]) * slices[:, 0], 1))[: len(rows)]
        g, big_g = np.asarray(linear)[: len(rows)], np.asarray(quadratic)[: len(rows)]
        for scale, feature, offset in zip(scales, features, offsets):
            g_scale, big_scale, gained = marginalise(g, big_g, q, scale, orders)
            feature[rows] = pack(g_scale, big_scale)
            offset[rows] = base + gained
    return [Statistics(f, o, q) for f, o in zip(features, offsets)]
