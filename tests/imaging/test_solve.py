"""Maps from tables of sums, against the whole padded transform."""

import numpy as np
import pytest

from emjax.imaging.fsc import masked_fsc, volume_fsc
from emjax.imaging.grids import shell_segments
from emjax.imaging.solve import real_map, shell_levels


def table_of(box_size: int, padding: int, seed: int = 0) -> np.ndarray:
    """Sums inside the ball that slices reach, as `insert_images` leaves them."""
    edge = padding * (box_size // 2 - (1 if padding > 1 else 2)) + 2
    x, y, z = np.ogrid[0:edge, 1 - edge : edge, 1 - edge : edge]
    table = np.random.default_rng(seed).normal(size=(edge, 2 * edge - 1, 2 * edge - 1, 3))
    table[..., 2] **= 2
    table[np.sqrt(x**2 + y**2 + z**2) > edge - 0.5] = 0
    # A real map's coefficients on the plane x = 0 come with their mates.
    table[0] += table[0, ::-1, ::-1] * [1, -1, 1]
    return table.astype(np.float32)


def shells_of(table: np.ndarray) -> np.ndarray:
    x, y, z = (np.arange(n) for n in table.shape[:3])
    y, z = y - len(y) // 2, z - len(z) // 2
    return np.rint(np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)).astype(int)


@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("box_size", [20, 21])
def test_maps_are_the_central_box_of_the_whole_transform(box_size: int, padding: int):
    tables = [table_of(box_size, padding, seed) for seed in (0, 1)]
    shells = shells_of(tables[0])
    prior = np.random.default_rng(2).uniform(1, 2, shells.max() + 1).astype(np.float32)
    total = tables[0].astype(np.float64) + tables[1]
    values = (total[..., 0] + 1j * total[..., 1]) / (total[..., 2] + prior[shells])
    padded, (nx, ny, nz) = padding * box_size, values.shape
    whole = np.zeros((padded, padded, padded // 2 + 1), complex)
    y, z = np.arange(ny) - ny // 2, np.arange(nz) - nz // 2
    whole[z[:, None] % padded, y % padded, :nx] = values.transpose(2, 1, 0)
    offset = np.arange(box_size) - box_size // 2
    expected = np.fft.irfftn(whole, (padded,) * 3, axes=(0, 1, 2))[np.ix_(offset, offset, offset)]
    window = np.sinc(offset / padded) ** 2
    expected /= window[:, None, None] * window[:, None] * window
    found = real_map(tables, prior, padding, box_size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_levels_are_the_means_of_whole_shells():
    tables = [table_of(20, 2, seed) for seed in (0, 1)]
    shells = shells_of(tables[0]).ravel()
    count = np.bincount(shells)
    found = shell_levels(tables)
    for levels, table in zip(found, tables, strict=True):
        expected = np.bincount(shells, table[..., 2].ravel()) / count
        np.testing.assert_allclose(levels, expected, rtol=1e-5)


def test_segments_hold_every_place_of_their_shells_once():
    axis = np.arange(-6, 7)
    square = axis[:, None] ** 2 + axis**2
    planes = list(shell_segments(square, 9, 6))
    for x, (shells, starts, places) in enumerate(planes):
        expected = np.rint(np.sqrt(square + x**2)).ravel()
        np.testing.assert_array_equal(np.sort(places), np.flatnonzero(expected < 6))
        sizes = np.diff(starts, append=len(places))
        np.testing.assert_array_equal(np.repeat(shells, sizes), expected[places])
    assert not len(planes[6][2])


@pytest.mark.parametrize("box_size", [24, 25])
def test_single_precision_is_enough_for_an_fsc(box_size: int):
    rng = np.random.default_rng(0)
    signal, *noise = rng.normal(size=(3, box_size, box_size, box_size)).astype(np.float32)
    a, b = (signal + own for own in noise)
    mask = rng.uniform(size=a.shape).astype(np.float32)
    np.testing.assert_allclose(masked_fsc(a, b, mask), volume_fsc(a * mask, b * mask), atol=1e-5)
