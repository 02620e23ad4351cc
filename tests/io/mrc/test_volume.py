"""Maps and stacks are written so that other programs read them."""

import mrcfile
import numpy as np
import pytest

from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import read_volume, write_stack, write_volume


def test_maps_come_back(tmp_path):
    volume = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    write_volume(tmp_path / "a" / "map.mrc", volume, 1.75)
    again, voxel_size = read_volume(tmp_path / "a" / "map.mrc", box_size=6)
    np.testing.assert_array_equal(again, volume)
    assert voxel_size == pytest.approx(1.75, rel=1e-6)  # the header holds float32
    with mrcfile.open(tmp_path / "a" / "map.mrc") as mrc:
        assert mrc.is_volume() and mrc.header.origin.tolist() == (0, 0, 0)
        np.testing.assert_array_equal(mrc.data, volume)
    assert mrcfile.validate(tmp_path / "a" / "map.mrc")


def test_other_programs_maps_open(shared_data):
    volume, voxel_size = read_volume(shared_data / "data" / "spliceosome" / "true_state_0.mrc", 64)
    assert volume.shape == (64, 64, 64) and voxel_size == 6.0


def test_stacks_come_back_and_are_stacks(tmp_path):
    images = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    write_stack(tmp_path / "stack.mrcs", images, 1.75)
    header = read_header(tmp_path / "stack.mrcs")
    np.testing.assert_array_equal(header.open(), images)
    with mrcfile.open(tmp_path / "stack.mrcs") as mrc:
        assert mrc.is_image_stack()
        np.testing.assert_allclose(mrc.voxel_size.tolist(), 1.75, rtol=1e-6)  # float32
    assert mrcfile.validate(tmp_path / "stack.mrcs")


@pytest.mark.parametrize("write", [write_volume, write_stack])
def test_the_same_data_are_the_same_bytes(tmp_path, write):
    data = np.random.default_rng(0).normal(size=(4, 4, 4))
    write(tmp_path / "a.mrc", data, 2.0)
    write(tmp_path / "b.mrc", data, 2.0)
    first = (tmp_path / "a.mrc").read_bytes()
    assert first == (tmp_path / "b.mrc").read_bytes()
    # Only the label is text, and it holds no time.
    assert first[224:1024].rstrip(b"\0") == b"emjax"
