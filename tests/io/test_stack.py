"""Image stacks of every mode and byte order, read in the rows asked for."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.mrc.header import read_header
from emjax.io.mrc.resample import common_grid, resampling_matrix
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.particle_set import read_particles

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


def test_rows_come_in_the_order_asked_for(star_set, files):
    particles = read_particles(star_set())
    stacks = ImageStacks(particles)
    data = files.stack(particles.stack_paths[0])
    for rows in ([0], [2, 0, 3], [1, 2], [3, 2, 1, 0], [1, 1]):
        images = stacks.read(np.array(rows))
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images, data[rows])
    dark = replace(particles, contrast=np.array([1, -1, 1, 1], np.int8))
    np.testing.assert_array_equal(
        ImageStacks(dark).read(np.array([0, 1])), data[:2] * [[[1]], [[-1]]]
    )


def test_nan_pixels_are_told_with_their_image(star_set, files, tmp_path):
    particles = read_particles(star_set())
    data = files.stack(tmp_path / "stack.mrcs")
    data[2, 3, 4] = np.nan
    header = (tmp_path / "stack.mrcs").read_bytes()[:1024]
    (tmp_path / "stack.mrcs").write_bytes(header + data.tobytes())
    assert ImageStacks(particles).read(np.array([0, 1])).shape == (2, 8, 8)
    with pytest.raises(InputError, match="image 3: found NaN"):
        ImageStacks(particles).read(np.arange(4))


def test_resampling_is_exact_for_band_limited_images():
    n, pixel = 32, 1.3
    target_n, target_pixel = 20, 1.9
    k = 3 / (n * pixel)  # a frequency that both grids carry

    def wave(count, size):
        x = (np.arange(count) - count // 2) * size
        return np.cos(2 * np.pi * k * x + 0.4)

    m = resampling_matrix(n, pixel, target_n, target_pixel)
    # float32 matrix
    np.testing.assert_allclose(m @ wave(n, pixel), wave(target_n, target_pixel), atol=2e-6)
    np.testing.assert_allclose(m.sum(1), 1, atol=1e-6)
    same = resampling_matrix(7, 2.0, 7, 2.0)
    np.testing.assert_allclose(same, np.eye(7), atol=1e-6)


def test_the_common_grid_lies_inside_every_image():
    assert common_grid(np.array([196, 196]), np.array([1.25, 1.24])) == (194, 1.25)
    assert common_grid(np.array([64]), np.array([6.0])) == (64, 6.0)


def test_groups_of_two_pixel_sizes_show_the_same_object(star_set, files, tmp_path):
    optics = {k: [v[0], v[0]] for k, v in files.optics.items()}
    optics |= {"rlnOpticsGroup": [1, 2], "rlnImagePixelSize": [3.0, 2.0], "rlnImageSize": [32, 48]}
    names = ["1@a.mrcs", "2@a.mrcs", "1@b.mrcs", "2@b.mrcs"]
    path = star_set(optics, rlnImageName=names, rlnOpticsGroup=[1, 1, 2, 2])
    for name, n, pixel in (("a", 32, 3.0), ("b", 48, 2.0)):
        x = (np.arange(n) - n // 2) * pixel
        blob = np.exp(-(x[:, None] ** 2 + (x[None, :] - 6) ** 2) / 2 / 9**2)
        with mrcfile.new(tmp_path / f"{name}.mrcs", np.stack([blob] * 2).astype("f4")) as mrc:
            mrc.voxel_size = pixel
    particles = read_particles(path, on_mixed_optics="resample")
    images = ImageStacks(particles).read(np.arange(4))
    assert images.shape == (4, 32, 32)
    # The blob's spectrum beyond 1/6 per Å is e^-44 of its peak; float32 remains.
    np.testing.assert_allclose(images[2], images[0], atol=1e-5)


def test_maps_come_back(tmp_path):
    volume = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    write_volume(tmp_path / "a" / "map.mrc", volume, 1.75)
    again, voxel_size = read_volume(tmp_path / "a" / "map.mrc", box_size=6)
    np.testing.assert_array_equal(again, volume)
    assert voxel_size == pytest.approx(1.75, rel=1e-6)  # the header holds float32
    with mrcfile.open(tmp_path / "a" / "map.mrc") as mrc:
        assert mrc.is_volume() and mrc.header.origin.tolist() == (0, 0, 0)
        assert mrcfile.validate(tmp_path / "a" / "map.mrc")


def test_other_programs_maps_open(shared_data):
    volume, voxel_size = read_volume(shared_data / "data" / "spliceosome" / "true_state_0.mrc", 64)
    assert volume.shape == (64, 64, 64) and voxel_size == 6.0
