"""Image stacks of every mode and byte order, read in the rows asked for."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.mrc import stack
from emjax.io.mrc.stack import ImageStacks
from emjax.io.particles.particle_set import read_particles


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


def test_nan_pixels_are_reported_with_their_image(star_set, files, tmp_path):
    particles = read_particles(star_set())
    data = files.stack(tmp_path / "stack.mrcs")
    data[2, 3, 4] = np.nan
    header = (tmp_path / "stack.mrcs").read_bytes()[:1024]
    (tmp_path / "stack.mrcs").write_bytes(header + data.tobytes())
    assert ImageStacks(particles).read(np.array([0, 1])).shape == (2, 8, 8)
    with pytest.raises(InputError, match="image 3: found NaN"):
        ImageStacks(particles).read(np.arange(4))
    np.testing.assert_array_equal(ImageStacks(particles, any_pixels=True).read(np.arange(4)), data)


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
    with mrcfile.mmap(tmp_path / "b.mrcs", "r+") as mrc:
        mrc.data[1, 3, 4], mrc.data[1, 5, 6] = np.inf, -np.inf
    again = ImageStacks(particles, any_pixels=True).read(np.arange(4))
    np.testing.assert_array_equal(again[:3], images[:3])
    assert not np.isfinite(again[3]).any()


@pytest.mark.parametrize("box", [8, 9])
def test_images_to_be_mirrored_are_mirrored_about_their_centre(star_set, files, tmp_path, box):
    path = star_set(files.optics | {"rlnImageSize": [box]}, rlnIsFlip=[0, 1, 0, 1])
    data = files.stack(tmp_path / "stack.mrcs", box=box)
    images = ImageStacks(read_particles(path)).read(np.arange(4))
    np.testing.assert_array_equal(images[[0, 2]], data[[0, 2]])
    centre = box // 2
    for offset in range(-(box // 2) + 1, (box + 1) // 2):
        np.testing.assert_array_equal(
            images[[1, 3], :, centre + offset], data[[1, 3], :, centre - offset]
        )


def test_images_that_were_read_do_not_stay_in_memory(star_set, files, tmp_path, monkeypatch):
    """A stack of many gigabytes would count as memory of the job."""
    given = []
    monkeypatch.setattr(stack, "give_back", given.append)
    particles = read_particles(star_set())
    ImageStacks(particles).read(np.array([0, 2]))
    assert [array.shape for array in given] == [(4, 8, 8)]
