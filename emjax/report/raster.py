"""Arrays as small pictures inside the page: slices, differences, a shaded surface, heat maps."""

import base64
import struct
import zlib

import numpy as np
from scipy.ndimage import label, zoom

from emjax.resolution import lowpass_weights

FULL_COLOUR = 0.5  # of the strongest difference of all classes
FAINTEST = 0.02  # of the highest density: differences below never get full colour
PART = 0.5  # of full colour: from it on, differences are surfaces of their own
SKIN = 16  # pixels of a surface's picture: how deep beneath it differences tint it
# Black through grey to white says "density"; blue, white, orange says "less, same, more" and is
# distinguished in every common kind of colour blindness.
_LESS, _SAME, _MORE = np.array([[0, 90, 160], [247, 247, 247], [200, 80, 0]], float)


def png_uri(image: np.ndarray) -> str:
    """An [h, w] grey, [h, w, 3] colour or [h, w, 4] transparent uint8 image as a data URI."""
    image = np.ascontiguousarray(image, np.uint8)
    height, width = image.shape[:2]
    colour = 0 if image.ndim == 2 else {3: 2, 4: 6}[image.shape[2]]
    rows = np.zeros((height, 1 + image[0].size), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
    data = b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def grey(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Density as grey, `low` black and `high` white."""
    scaled = (image - low) / max(high - low, 1e-12)
    return (255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def diverging(image: np.ndarray, limit: float) -> np.ndarray:
    """Signed values as blue (−limit), white (0) and orange (+limit)."""
    t = np.clip(image / max(limit, 1e-12), -1, 1)[..., None]
    end = np.where(t < 0, _LESS, _MORE)
    return (_SAME + np.abs(t) * (end - _SAME)).astype(np.uint8)


def slices_at(volume: np.ndarray, voxel: tuple[int, int, int]) -> list[np.ndarray]:
    """The three slices of a [z, y, x] map through a voxel, seen along z, y and x."""
    z, y, x = voxel
    return [volume[z], volume[:, y], volume[:, :, x]]


def centre_of_mass(weight: np.ndarray) -> tuple[int, int, int]:
    """The voxel at the centre of mass of what is positive."""
    weight = np.maximum(weight, 0)
    sums = [weight.sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
    z, y, x = (round(float(np.average(np.arange(s.size), weights=s + 1e-12))) for s in sums)
    return z, y, x


def strongest_voxel(difference: np.ndarray) -> tuple[int, int, int]:
    """The voxel of the largest difference of either sign."""
    at = np.unravel_index(int(np.abs(difference).argmax()), difference.shape)
    z, y, x = (int(i) for i in at)
    return z, y, x


def shrink(volume: np.ndarray, box: int) -> np.ndarray:
    """The map averaged over whole blocks until it is at most `box` wide."""
    step = -(-volume.shape[0] // box)
    if step == 1:
        return volume
    pad = -volume.shape[0] % step
    volume = np.pad(volume, [(0, pad)] * 3)
    n = volume.shape[0] // step
    return volume.reshape(n, step, n, step, n, step).mean(axis=(1, 3, 5))


def match_box(volume: np.ndarray, box: int) -> np.ndarray:
    """The map on another number of voxels over the same cube, interpolated."""
    factor = box / volume.shape[0]
    return np.asarray(zoom(volume, factor, order=1, grid_mode=True, mode="nearest"))


def lowpass(volume: np.ndarray, voxel_size: float, resolution: float) -> np.ndarray:
    """The map without detail finer than `resolution` (Å); the soft edge spares it rings."""
    if not np.isfinite(resolution) or resolution <= 2 * voxel_size:
        return volume
    n = volume.shape[0]
    axis, half = np.fft.fftfreq(n, voxel_size), np.fft.rfftfreq(n, voxel_size)
    k = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2)
    keep = lowpass_weights(k, 1 / resolution, edge=0.3)
    return np.fft.irfftn(np.fft.rfftn(volume) * keep, volume.shape, axes=(0, 1, 2))


def _label(inside: np.ndarray) -> np.ndarray:
    pieces = np.empty(inside.shape, np.int32)
    label(inside, output=pieces)
    return pieces


def largest_piece(volume: np.ndarray, level: float) -> np.ndarray:
    """The map with every blob above `level` wiped out that is under a tenth of the largest one."""
    pieces = _label(volume > level)
    if pieces.max() < 2:
        return volume
    sizes = np.bincount(pieces.ravel())[1:]
    small = np.flatnonzero(sizes < 0.1 * sizes.max()) + 1
    return np.where(np.isin(pieces, small), min(level, 0.0), volume)


def surface_level(volume: np.ndarray, inside: float) -> float:
    """A density that encloses the fraction `inside` of the box."""
    return float(np.quantile(volume, 1 - inside))


def full_colour(strongest: float, densest: float) -> float:
    """Difference that all difference pictures of a page show in full colour.

    Args:
        strongest: difference of all classes.
        densest: highest density; far weaker differences never get full colour.
    """
    return max(FULL_COLOUR * strongest, FAINTEST * densest, 1e-12)


def _facing(volume: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the isosurface is hit along z, its depth in voxels, and its brightness there."""
    above = volume > level
    first = np.argmax(above, axis=0)
    before = np.maximum(first - 1, 0)
    rows, columns = np.indices(first.shape)
    v1, v0 = volume[first, rows, columns], volume[before, rows, columns]
    part = np.where(first > 0, (level - v0) / np.where(v1 == v0, 1, v1 - v0), 1)
    depth = before + np.clip(part, 0, 1)
    slopes = [np.gradient(volume, axis=axis)[first, rows, columns] for axis in range(3)]
    gradient = np.stack(slopes, axis=-1)
    normal = -gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-12)
    shade = 0.4 + 0.6 * np.clip(normal @ np.array([-0.75, -0.5, -0.43]), 0, 1)
    return np.asarray(above.any(axis=0)), depth, shade * (1 - 0.35 * depth / len(volume))


def shaded_surface(
    volume: np.ndarray, level: float, change: np.ndarray, size: int = 128
) -> np.ndarray:
    """The isosurface at `level` seen along z, lit from the upper left, as RGBA.

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
    hit, depth, light = _facing(volume, level)
    # Density that is added is strongest beneath the surface that it makes.
    first = np.ceil(depth).astype(int) + np.arange(SKIN)[:, None, None]
    beneath = np.take_along_axis(change, np.minimum(first, len(volume) - 1), axis=0)
    d = np.take_along_axis(beneath, np.abs(beneath).argmax(axis=0)[None], axis=0)[0, ..., None]
    t = np.clip(2 * np.abs(d) / PART - 1.5, 0, 1)
    tone = (1 - t) * np.array([165, 180, 198.0]) + t * np.where(d < 0, _LESS, _MORE) * 1.2
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
