"""MRC headers of every mode and byte order."""

import mrcfile
import numpy as np
import pytest

from emjax.io.mrc.header import read_header

MODES = [np.int8, np.int16, np.float32, np.uint16, np.float16]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", MODES)
def test_every_mode_in_both_byte_orders(tmp_path, dtype, order):
    data = np.arange(3 * 4 * 4).reshape(3, 4, 4).astype(dtype)
    with mrcfile.new(tmp_path / "a.mrcs", data) as mrc:
        mrc.voxel_size = 2.5
    if order == ">":
        header = mrc_header_swapped((tmp_path / "a.mrcs").read_bytes()[:1024])
        (tmp_path / "a.mrcs").write_bytes(header + data.byteswap().tobytes())
    header = read_header(tmp_path / "a.mrcs")
    assert header.voxel_size == 2.5
    np.testing.assert_array_equal(header.open(), data)


def mrc_header_swapped(raw: bytes) -> bytes:
    header = np.frombuffer(raw, mrcfile.dtypes.HEADER_DTYPE).copy()
    header["machst"] = [[0x11, 0x11, 0, 0]]
    return header.byteswap().tobytes()


def test_an_extended_header_is_passed_over(tmp_path):
    data = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    with mrcfile.new(tmp_path / "a.mrcs", data) as mrc:
        mrc.set_extended_header(np.zeros(160, "V1"))
    np.testing.assert_array_equal(read_header(tmp_path / "a.mrcs").open(), data)
