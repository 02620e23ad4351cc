"""Surfaces of maps: shaded stills of both sides, and the small map that the 3D view draws."""

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import label, zoom

from emjax.report.overlay import Cut, scale_bar
from emjax.report.raster import LESS, MORE, png_uri, shrink

STILL_BOX = 72  # of the surfaces
STILL = 128  # pixels of their pictures
LOOK_BOX = 48  # of the 3D look: about 100 kB per class
PART = 0.5  # of full colour: from it on, differences are surfaces of their own
SKIN = 16  # pixels of a surface's picture: how deep beneath it differences tint it

Volume = Float[np.ndarray, "d d d"]


def surface(
    volume: Volume,
    change: Volume,
    inside: float,
    window: float,
    voxel_size: float,
    *,
    common: bool = True,
) -> tuple[list[Cut], dict[str, Any]]:
    """Stills of the surface with their scale bar, and the decimated map for the 3D look.

    Args:
        volume: the map.
        change: its difference from the mean of all classes, in full colours.
        inside: share of the box that the surface encloses.
        window: share of the box's width, around its centre, that is shown.
        voxel_size: of the map, in Å.
        common: whether all maps of the page have one intensity scale.
    """
    small = shrink(volume, STILL_BOX)
    level = surface_level(small, inside)
    colours = _cut(shrink(change, STILL_BOX), window)
    near = _cut(largest_piece(small, level), window)
    names = "surface seen along z", "from behind"
    bar = scale_bar(len(near) * -(-len(volume) // STILL_BOX) * voxel_size)
    stills = [
        Cut(name, png_uri(still), bar)
        for name, still in zip(names, shaded_sides(near, level, colours), strict=True)
    ]
    look = _look(volume, change, inside)
    width = look["box"] * -(-len(volume) // LOOK_BOX) * voxel_size
    return stills, look | {"width": width, "window": window, "part": PART, "common": common}


def shaded_sides(
    volume: Volume, level: float, change: Volume, size: int = STILL
) -> list[np.ndarray]:
    """The isosurface at `level` seen along z and from behind, lit from the upper left, as RGBA.

    What is denser than the mean tints it orange, what is less dense blue. Density that is missing
    lies outside it and is drawn as a blue surface of its own, through which one sees.

    Args:
        volume: the map.
        level: density of the surface.
        change: difference from the mean in full colours.
        size: width of the picture.
    """
    volume = np.asarray(zoom(volume, size / len(volume), order=1))
    change = np.asarray(zoom(change, size / len(change), order=1))
    # A half turn about y shows the other side.
    return [_shaded(volume[::way, :, ::way], level, change[::way, :, ::way]) for way in (1, -1)]


def largest_piece(volume: np.ndarray, level: float) -> np.ndarray:
    """The map with every blob above `level` wiped out that is under a tenth of the largest one."""
    pieces = np.empty(volume.shape, np.int32)
    label(volume > level, output=pieces)
    if pieces.max() < 2:
        return volume
    sizes = np.bincount(pieces.ravel())[1:]
    small = np.flatnonzero(sizes < 0.1 * sizes.max()) + 1
    return np.where(np.isin(pieces, small), min(level, 0.0), volume)


def surface_level(volume: np.ndarray, inside: float) -> float:
    """A density that encloses the fraction `inside` of the box."""
    return float(np.quantile(volume, 1 - inside))


def extent(volume: Volume, inside: float) -> float:
    """Share of the box's width, around its centre, that holds the surface."""
    small = shrink(volume, STILL_BOX)
    level = surface_level(small, inside)
    at = np.argwhere(largest_piece(small, level) > level)
    away = np.abs(at - (len(small) - 1) / 2).max(initial=0.0)
    return min(1.0, 1.15 * (2 * float(away) + 1) / len(small))


def _slopes(volume: np.ndarray, at: tuple[np.ndarray, ...]) -> np.ndarray:
    """Gradient at some voxels, from their neighbours."""
    slopes = []
    for axis in range(3):
        after, before = list(at), list(at)
        after[axis] = np.minimum(at[axis] + 1, volume.shape[axis] - 1)
        before[axis] = np.maximum(at[axis] - 1, 0)
        gap = volume[tuple(after)] - volume[tuple(before)]
        slopes.append(gap / (after[axis] - before[axis]))
    return np.stack(slopes, axis=-1)


def _facing(volume: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the isosurface is hit along z, its depth in voxels, and its brightness there."""
    above = volume > level
    first = np.argmax(above, axis=0)
    before = np.maximum(first - 1, 0)
    rows, columns = np.indices(first.shape)
    v1, v0 = volume[first, rows, columns], volume[before, rows, columns]
    part = np.where(first > 0, (level - v0) / np.where(v1 == v0, 1, v1 - v0), 1)
    depth = before + np.clip(part, 0, 1)
    gradient = _slopes(volume, (first, rows, columns))
    normal = -gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-12)
    shade = 0.4 + 0.6 * np.clip(normal @ np.array([-0.75, -0.5, -0.43]), 0, 1)
    return np.asarray(above.any(axis=0)), depth, shade * (1 - 0.35 * depth / len(volume))


def _shaded(volume: np.ndarray, level: float, change: np.ndarray) -> np.ndarray:
    hit, depth, light = _facing(volume, level)
    # Density that is added is strongest beneath the surface that it makes.
    first = np.ceil(depth).astype(int) + np.arange(SKIN)[:, None, None]
    beneath = np.take_along_axis(change, np.minimum(first, len(volume) - 1), axis=0)
    d = np.take_along_axis(beneath, np.abs(beneath).argmax(axis=0)[None], axis=0)[0, ..., None]
    t = np.clip(2 * np.abs(d) / PART - 1.5, 0, 1)
    tone = (1 - t) * np.array([165, 180, 198.0]) + t * np.where(d < 0, LESS, MORE) * 1.2
    picture = np.zeros((*hit.shape, 4))
    picture[hit, :3] = (tone * light[..., None])[hit]
    picture[hit, 3] = 255
    lost, before, light = _facing(-change, PART)
    lost &= ~hit | (before < depth - 1)
    blue = np.array([60, 155, 240.0]) * light[..., None]
    share = np.where(hit, 0.6, 1.0)[..., None]
    picture[lost, :3] = (share * blue + (1 - share) * picture[..., :3])[lost]
    picture[lost & ~hit, 3] = 200
    return np.clip(picture, 0, 255).astype(np.uint8)


def _cut(volume: Volume, window: float) -> Float[np.ndarray, "e e e"]:
    """The middle of the box, a share of its width."""
    edge = int((1 - window) / 2 * len(volume))
    return volume[(slice(edge, len(volume) - edge),) * 3]


def _look(volume: Volume, change: Volume, inside: float) -> dict[str, Any]:
    """The map as bytes for the 3D look: density in red, difference in full colours in green."""
    small, colours = shrink(volume, LOOK_BOX), shrink(change, LOOK_BOX)
    low, high = float(small.min()), float(small.max())
    side = small.shape[0]
    density = 255 * (small - low) / max(high - low, 1e-12)
    colour = 128 + 127 * np.clip(colours / 2, -1, 1)
    packed = np.stack([density, colour, np.zeros_like(density)], axis=-1)
    level = int(np.clip(surface_level(density, inside), 1, 254))
    return {
        "box": side, "level": level, "low": low, "high": high, "sd": float(volume.std()),
        "uri": png_uri(packed.reshape(side * side, side, 3)),
    }  # fmt: skip
