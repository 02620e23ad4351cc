"""Maps at full box from tables of sums (`projector.insert_images`), a plane at a time.

At 256 pixels a table takes a gigabyte: nothing of its size is made beside it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float

from emjax.imaging.grids import shell_segments
from emjax.machine import cores

Table = Float[np.ndarray, "X Y Z 3"]

SLAB = 16  # rows of y whose lines along x are transformed together


def shell_levels(tables: Sequence[Table]) -> Float[np.ndarray, "t s"]:
    """Mean weight of each table in each shell, over the voxels of the half volume."""
    nx, ny, nz, _ = tables[0].shape
    y, z = np.arange(ny) - ny // 2, np.arange(nz) - nz // 2
    n_shells = int(np.rint(np.sqrt(3) * (nx - 1))) + 1
    count, total = np.zeros(n_shells), np.zeros((len(tables), n_shells))
    for x, segments in enumerate(shell_segments(y[:, None] ** 2 + z**2, nx, n_shells)):
        shells, starts, order = segments
        count[shells] += np.diff(starts, append=len(order))
        for sums, table in zip(total, tables, strict=True):
            weights = table[x].reshape(-1, 3)[:, 2].take(order)
            sums[shells] += np.add.reduceat(weights, starts, dtype=np.float64)
    return (total / np.maximum(count, 1)).astype(np.float32)


def real_map(
    tables: Sequence[Table],
    precision: Float[np.ndarray, " s"],
    padding: int,
    box_size: int,
) -> Float[np.ndarray, "d d d"]:
    """Real-space map num / (den + 1/τ²) of tables added up, gridding corrected.

    Only the central box of the padded volume is ever computed: after the transform along an axis
    what lies outside is dropped.

    Args:
        tables: sums of the half volume, Friedel mates added.
        precision: 1/τ² of each shell of the padded transform.
        padding: voxels of the transform to one of the box's.
        box_size: of the map.
    """
    nx, ny, nz, _ = tables[0].shape
    padded = padding * box_size
    square = (np.arange(ny) - ny // 2)[:, None] ** 2 + (np.arange(nz) - nz // 2) ** 2
    radius = np.sqrt(np.arange(square.max() + (nx - 1) ** 2 + 1))
    prior = precision[np.rint(radius).astype(int)]
    slices = np.empty((nx, box_size, box_size), np.complex64)

    def transform(x: int) -> None:
        # Rows beyond the ball that slices touch are empty.
        reach = min(ny // 2, int(np.sqrt(nx**2 - x**2)))
        rows = slice(ny // 2 - reach, ny // 2 + reach + 1)
        sums = sum((table[x, rows] for table in tables[1:]), tables[0][x, rows])
        weight = sums[..., 2] + prior.take(square[rows] + x**2)
        values = np.empty(weight.shape, np.complex64)
        np.divide(sums[..., 0], weight, out=values.real)
        np.divide(sums[..., 1], weight, out=values.imag)
        along_z = _central(values, padded, box_size, axis=1)
        slices[x] = _central(along_z, padded, box_size, axis=0)

    volume = np.empty((box_size,) * 3, np.float32)
    offset = np.arange(box_size) - box_size // 2
    window = (np.sinc(offset / padded) ** 2).astype(np.float32)
    # Of irfft: positions from the corner on, the centre first.
    centred = np.r_[padded - box_size // 2 : padded, 0 : box_size - box_size // 2]
    scale = np.float32(1 / float(padded) ** 3)

    def back(start: int) -> None:
        own = slice(start, start + SLAB)
        lines = scipy.fft.irfft(slices[:, own], padded, axis=0, norm="forward", workers=1)
        divisor = window[:, None, None] * window[own, None] * window
        np.multiply(
            np.asarray(lines)[centred].transpose(2, 1, 0), scale / divisor, out=volume[:, own]
        )

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(transform, range(nx)))
        list(pool.map(back, range(0, box_size, SLAB)))
    return volume


def _central(
    values: Complex[np.ndarray, "a b"], padded: int, box_size: int, axis: int
) -> Complex[np.ndarray, "c e"]:
    """Unscaled inverse transform along an axis of centred frequencies, its central box only."""
    values = np.moveaxis(values, axis, 0)
    half = len(values) // 2
    line = np.zeros((padded, *values.shape[1:]), np.complex64)
    line[: half + 1], line[padded - half :] = values[half:], values[:half]
    line = np.asarray(scipy.fft.ifft(line, axis=0, norm="forward", overwrite_x=True, workers=1))
    before = box_size // 2
    middle = np.concatenate([line[padded - before :], line[: box_size - before]])
    return np.moveaxis(middle, 0, axis)
