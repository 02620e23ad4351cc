"""Affinity between references: class averages or volumes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from emjax.rebalance.circle import Circle, best_angles


def volume_affinity(
    volumes: Float[Array, "k d d d"] | Float[np.ndarray, "k d d d"],
    mask: Float[Array, "e e e"] | Float[np.ndarray, "e e e"] | None = None,
) -> Float[np.ndarray, "k k"]:
    """Correlation of every two volumes inside a soft mask, negative values set to 0.

    Args:
        volumes: Volumes in a common frame; they are not aligned here.
        mask: Weight of each voxel, 0 to 1; None weighs all voxels equally.

    Returns:
        Symmetric matrix in 0..1 with diagonal 1; a constant volume has affinity 0 to all others.

    Raises:
        ValueError: If the mask is empty or of another box.
    """
    flat = np.asarray(volumes).reshape(len(volumes), -1)
    weight = np.ones(flat.shape[1]) if mask is None else np.asarray(mask).reshape(-1)
    if weight.size != flat.shape[1]:
        raise ValueError(f"mask: has {weight.size} voxels, the volumes have {flat.shape[1]}")
    if not np.all(weight >= 0) or weight.sum() == 0:
        raise ValueError("mask: needs weights of 0 or more, of which some are above 0")
    with jax.enable_x64(True):
        return _finish(np.asarray(_correlate(flat, weight)))


@jax.jit
def _correlate(
    flat: Float[np.ndarray, "k v"] | Float[Array, "k v"],
    weight: Float[np.ndarray, " v"] | Float[Array, " v"],
) -> Float[Array, "k k"]:
    """Weighted correlation of every two rows in double precision; 0 where one is constant."""
    flat, weight = jnp.asarray(flat, jnp.float64), jnp.asarray(weight, jnp.float64)
    mean = jnp.sum(flat * weight, 1) / weight.sum()
    centred = (flat - mean[:, None]) * jnp.sqrt(weight)
    covariance = centred @ centred.T
    scale = jnp.sqrt(jnp.diag(covariance))
    # A constant volume keeps rounding noise only: do not blow it up to a correlation.
    constant = scale <= 1e-12 * (jnp.abs(mean) * weight.sum() + jnp.finfo(float).tiny)
    scale = jnp.where(constant, jnp.inf, scale)
    return covariance / jnp.outer(scale, scale)


def image_affinity(
    images: Float[Array, "k d d"] | Float[np.ndarray, "k d d"],
    *,
    mirror: bool = False,
    max_shift: float | None = None,
    angle_step: float = 6.0,
    pairs_per_batch: int = 256,
) -> Float[np.ndarray, "k k"]:
    """Normalised correlation of every two images, maximised over in-plane rotation and shift.

    Correlations are normalised in the part that both shifted circles share, so a shift past the
    background costs nothing. Each pair's best coarse angle is refined, and the peak interpolated.

    Args:
        images: 2D class averages, already at the box where they should be compared (about 64 px).
        mirror: Also compare with the mirrored image.
        max_shift: Largest shift in pixels; None takes an eighth of the box.
        angle_step: Coarse step of the in-plane angle in degrees.
        pairs_per_batch: Pairs correlated at once; changes memory only.

    Returns:
        Symmetric matrix in 0..1 with diagonal 1; an empty image has affinity 0 to all others.

    Source: masked normalised correlation, Padfield (2012), IEEE TIP 21, 2706.
    """
    n_images, circle = len(images), circle_for(images.shape[-1], max_shift)
    affinity = np.eye(n_images)
    first, second = np.triu_indices(n_images, 1)
    if first.size == 0:
        return affinity
    n_pad = -first.size % min(pairs_per_batch, first.size)
    pairs = jnp.asarray(np.pad(np.stack([first, second]), ((0, 0), (0, n_pad)))).reshape(
        2, -1, min(pairs_per_batch, first.size)
    )
    best, _ = best_angles(images, pairs, circle, angle_step)
    if mirror:
        flipped, _ = best_angles(images, pairs, circle, angle_step, mirror=True)
        best = jnp.maximum(best, flipped)
    affinity[first, second] = np.asarray(best, np.float64).reshape(-1)[: first.size]
    return _finish(np.maximum(affinity, affinity.T))


def circle_for(box_size: int, max_shift: float | None = None) -> Circle:
    """The circle in which images are compared.

    Raises:
        ValueError: for shifts beyond a quarter of the box.
    """
    shift = int(round(box_size / 8 if max_shift is None else max_shift))
    if not 0 <= shift <= box_size // 4:
        raise ValueError(f"max_shift: found {shift} px, expected 0 to {box_size // 4} (box / 4)")
    return Circle.create(box_size, shift)


def blank(densities: Float[np.ndarray, "k ..."]) -> Bool[np.ndarray, " k"]:
    """Whether an image or volume shows nothing: next to no contrast beside the others."""
    flat = densities.reshape(len(densities), -1)
    contrast = flat.std(1, dtype=np.float64)
    # Rounding leaves a constant image some.
    seen = contrast > 1e-6 * np.abs(flat).max(1)
    typical = float(np.median(contrast[seen])) if seen.any() else 0.0
    return ~seen | (contrast < 1e-3 * typical)


def shrink_volume(volume: Float[np.ndarray, "d d d"], box_size: int) -> Float[np.ndarray, "e e e"]:
    """A map on a smaller box of the same extent, its transform cropped; never enlarged."""
    full = len(volume)
    if full <= box_size:
        return volume.astype(np.float32)
    spectrum = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    part = slice(full // 2 - box_size // 2, full // 2 - box_size // 2 + box_size)
    small = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(spectrum[part, part, part]))).real
    return (small * (box_size / full) ** 3).astype(np.float32)


def _finish(correlation: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    affinity = np.clip((correlation + correlation.T) / 2, 0.0, 1.0)
    np.fill_diagonal(affinity, 1.0)
    return affinity
