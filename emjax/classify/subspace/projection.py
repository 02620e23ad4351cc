"""Particles projected onto a basis: g and G of each image, pose errors eliminated from them.

Coordinates along the derivatives of the mean map have a prior of the poses' uncertainty;
eliminating them from (g, G) by a Schur complement marginalises the error. First derivatives suffice
to classify; the 21 second ones keep the number of classes from growing on the curvature that is
left.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.classify.operators.pixels import PixelBlock, PixelOperators, PixelRows, to_table
from emjax.classify.pose_error import LEFT_BY_POSES, derivative_orders
from emjax.classify.subspace.basis import Basis, joint_moments
from emjax.classify.subspace.statistics import Statistics, pack


def project_statistics(
    operators: PixelOperators,
    basis: Basis,
    nuisance: Complex[Array, "m v"] | None = None,
    scales: tuple[float, ...] = (0.0,),
    folds: tuple[int, ...] | None = None,
) -> list[Statistics]:
    """Statistics of the particles in a basis, one set for each width of the pose error; one pass.

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

    def project(own: PixelRows, block: PixelBlock) -> None:
        rows, m = own.rows, len(own.rows)
        found = joint_moments(block.products(block.slices(table, len(volumes))))
        g, big_g, base = (np.asarray(part)[:m] for part in found)
        for scale, feature, offset in zip(scales, features, offsets):
            g_scale, big_scale, gained = marginalise(g, big_g, q, scale, orders)
            feature[rows] = pack(g_scale, big_scale)
            offset[rows] = base + gained

    for _ in operators.in_lanes(project, folds):
        pass
    return [Statistics(f, o, q) for f, o in zip(features, offsets)]


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
    """How far each component follows the pose error, as the particles alone show it.

    Args:
        exact: statistics as if poses were exact.
        marginalised: the same basis with the pose error eliminated.

    Returns:
        A record of each component: the fraction of its image power that pose derivatives explain,
        the excess kurtosis of its coordinates (states lie apart, errors in a bell), its
        gain in likelihood before and after marginalising, and whether it is a nuisance mode.
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
