"""Real-space masks: soft edges, spheres, and the automatic solvent mask."""

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from emjax.errors import OptionError
from emjax.imaging.grids import resample

# Standard deviation in Å of the Gaussian that halves what is at 15 Å.
OUTLINE = 2.8
# Connected regions that are noise for sure: smaller than this fraction of the largest …
SPECK = 0.05
# … and no higher than this many standard deviations of the noise, which no voxel of a box reaches.
CERTAIN = 6.0


def soft_edge(distance: np.ndarray, near: float, far: float) -> np.ndarray:
    """Raised cosine: 1 up to `near`, 0 from `far` on, of a distance in the same unit."""
    t = np.clip((distance - near) / max(far - near, 1e-9), 0, 1)
    edge = (t < 1).astype(np.float32)
    between = (t > 0) & (t < 1)
    edge[between] = 0.5 + 0.5 * np.cos(np.pi * t[between])
    return edge


def radii(box_size: int) -> Float[np.ndarray, "d d d"]:
    """Distance of each voxel from the box centre n // 2, in voxels."""
    axis = np.arange(box_size) - box_size // 2
    return np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)


def sphere(box_size: int) -> Float[np.ndarray, "d d d"]:
    """Largest sphere that fits the box, soft over the last voxel: a particle may come close."""
    square = (np.arange(box_size) - box_size // 2) ** 2
    plane = square[:, None] + square
    planes = (soft_edge(np.sqrt(z2 + plane), box_size / 2 - 1, box_size / 2) for z2 in square)
    return np.stack(list(planes))


def solvent_mask(
    mean_map: Float[np.ndarray, "d d d"],
    voxel_size: float,
    threshold: float = 0.2,
    near: float = 10.0,
    far: float = 20.0,
    half_maps: Float[np.ndarray, "2 d d d"] | None = None,
) -> Float[np.ndarray, "d d d"]:
    """Soft solvent mask around the parts of a map above a threshold.

    The map is low-passed first, so that the outline does not follow noise or atoms. Regions under
    5 % of the largest are dropped as noise, but for those that stand out of it by six standard
    deviations: a domain of some of the particles may be parted from the rest in the mean map.

    Args:
        mean_map: map whose particle is white.
        voxel_size: Å.
        threshold: fraction of the map's highest density.
        near: distance in Å from the thresholded region up to which the mask is 1.
        far: distance in Å from which on it is 0.
        half_maps: whose difference shows the noise; without them every small region is dropped.

    Raises:
        OptionError: where nothing, or the whole box, lies above the threshold, or where the
            particle is black.
    """
    round_mask = sphere(mean_map.shape[0])
    inside = ndimage.gaussian_filter(mean_map, OUTLINE / voxel_size, mode="constant") * round_mask
    lowest, highest = np.percentile(inside, [0.05, 99.95])
    if -lowest > 2 * highest:
        raise OptionError(
            "particles",
            "density darker than the solvent in the mean map",
            "white particles; invert the images' contrast",
        )
    particle = inside > threshold * highest
    if not highest > 0 or not particle.any():
        raise OptionError(
            "masks.threshold",
            f"no voxel above {threshold} of the mean map's maximum",
            "a map with a white particle",
        )
    if particle[round_mask > 0.5].mean() > 0.95:
        raise OptionError(
            "masks.threshold",
            f"the whole box above {threshold} of the mean map's maximum",
            "solvent around the particle; raise the threshold or give a mask",
        )
    regions, number = ndimage.label(particle)  # type: ignore[misc]
    sizes = np.bincount(regions.ravel())[1:]
    kept = sizes >= SPECK * sizes.max()
    if half_maps is not None:
        noise = ndimage.gaussian_filter(
            (half_maps[0] - half_maps[1]) / 2, OUTLINE / voxel_size, mode="constant"
        )
        peaks = ndimage.maximum(inside, regions, np.arange(1, number + 1))
        kept |= np.asarray(peaks) > CERTAIN * noise[round_mask > 0.5].std()
    particle = np.isin(regions, np.flatnonzero(kept) + 1)
    distance = np.asarray(ndimage.distance_transform_edt(~particle)) * voxel_size
    return soft_edge(distance, near, far) * round_mask


def share_inside(
    mask: Float[np.ndarray, "d d d"],
    mean_map: Float[np.ndarray, "d d d"],
    voxel_size: float,
    threshold: float = 0.2,
) -> float:
    """Share of a map's density above a threshold that a mask holds, 0 … 1.

    Args:
        mask: 1 in the particle.
        mean_map: map whose particle is white, low-passed here.
        voxel_size: Å.
        threshold: fraction of the map's highest density.
    """
    smooth = ndimage.gaussian_filter(mean_map, OUTLINE / voxel_size, mode="constant")
    smooth = smooth * sphere(mean_map.shape[0])
    density = np.where(smooth > threshold * np.percentile(smooth, 99.95), smooth, 0)
    total = float(density.sum())
    return float((density * (mask > 0.5)).sum()) / total if total > 0 else 0.0


def resample_mask(mask: Float[np.ndarray, "d d d"], box_size: int) -> Float[np.ndarray, "e e e"]:
    """Resample a mask to another box of the same extent, values kept in 0..1."""
    if mask.shape[0] == box_size:
        return np.clip(mask, 0, 1).astype(np.float32)
    return np.clip(resample(mask, box_size), 0, 1)
