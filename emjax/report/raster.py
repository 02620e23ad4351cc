"""Arrays as small pictures inside the page: slices, differences, heat maps."""

import base64
import struct
import zlib

import numpy as np
from scipy.ndimage import zoom

from emjax.resolution import lowpass_weights

FULL_COLOUR = 0.5  # of the strongest difference of all classes
FAINTEST = 0.02  # of the highest density: differences below never get full colour
# Black through grey to white says "density"; blue, white, orange says "less, same, more" and is
# distinguished in every common kind of colour blindness.
LESS, SAME, MORE = np.array([[0, 90, 160], [247, 247, 247], [200, 80, 0]], float)


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
    end = np.where(t < 0, LESS, MORE)
    return (SAME + np.abs(t) * (end - SAME)).astype(np.uint8)


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


def full_colour(strongest: float, densest: float) -> float:
    """Difference that all difference pictures of a page show in full colour.

    Args:
        strongest: difference of all classes.
        densest: highest density; far weaker differences never get full colour.
    """
    return max(FULL_COLOUR * strongest, FAINTEST * densest, 1e-12)
