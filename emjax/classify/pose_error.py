"""Pose errors as coordinates along fixed volumes, integrated out of the likelihood.

A small error of a particle's pose changes its image like a displacement of the volume: along three
shift and three rotation derivatives of the mean map, whatever the pose (the shift along the beam
does nothing by itself). Their coordinates have a prior of the poses' uncertainty, over which the
likelihood is integrated. First derivatives suffice to classify; the 21 second ones keep the number
of classes from growing on the curvature that is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from emjax.imaging.grids import FourierGrid
from emjax.imaging.maps import slicing_values


@dataclass(frozen=True)
class PoseError:
    """Prior widths of the poses, as standard deviations."""

    rotation: float = 2.0 / np.sqrt(3)  # degrees about each axis
    shift: float = 3.0  # Å along each axis

    def scaled(self, factor: float) -> "PoseError | None":
        """Widths that are larger by a factor; None, exact poses, for 0."""
        return PoseError(self.rotation * factor, self.shift * factor) if factor else None

    def record(self) -> dict[str, float]:
        """Widths as evidence.json holds them."""
        return {"rotation_degrees": float(self.rotation), "shift_angstrom": float(self.shift)}


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
