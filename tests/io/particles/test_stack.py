"""A stack by itself as particles."""

import numpy as np
import pytest

from emjax.errors import InputError
from emjax.io.mrc.stack import ImageStacks
from emjax.io.mrc.volume import write_stack
from emjax.io.particles.particle_set import read_particles, write_particles

IMAGES = np.random.default_rng(0).standard_normal((7, 16, 16)).astype(np.float32)


def test_images_of_a_stack_are_particles_without_pose_and_ctf(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_stack("stack.mrcs", IMAGES, 2.5)
    found = read_particles("stack.mrcs", require_poses=False, require_ctf=False, bare_stack=True)
    assert (found.n, found.box_size, found.pixel_size) == (7, 16, 2.5)
    np.testing.assert_array_equal(ImageStacks(found).read(np.array([6, 0])), IMAGES[[6, 0]])
    write_particles("out.star", found, {"rlnClassNumber": np.arange(7) + 1})
    again = read_particles("out.star", require_poses=False, require_ctf=False)
    np.testing.assert_array_equal(again.identity, found.identity)
    np.testing.assert_array_equal(ImageStacks(again).read(np.arange(7)), IMAGES)


def test_an_unknown_pixel_size_is_reported(tmp_path):
    write_stack(tmp_path / "stack.mrcs", IMAGES, 0.0)
    with pytest.warns(UserWarning, match="no pixel size in the header; taken as 1 Å"):
        found = read_particles(
            tmp_path / "stack.mrcs", require_poses=False, require_ctf=False, bare_stack=True
        )
    assert found.pixel_size == 1


def test_images_that_are_not_square_are_refused(tmp_path):
    write_stack(tmp_path / "stack.mrcs", IMAGES[:, :, :12], 2.5)
    with pytest.raises(InputError, match="images of 12 x 16 pixels, expected square images"):
        read_particles(tmp_path / "stack.mrcs", bare_stack=True)
