"""A pose is the same slice, whichever program wrote it."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from emjax.imaging.grids import make_grid, to_fourier
from emjax.imaging.maps import slicing_values
from emjax.imaging.projector import make_slices, slice_volume
from emjax.io.poses import euler_to_matrix, matrix_to_pose, pose_to_matrix
from emjax.simulate.particles import phantom

BOX, RADIUS = 24, 8


@pytest.fixture(scope="module")
def grid():
    return make_grid(BOX, RADIUS)


@pytest.fixture(scope="module")
def volume():
    return phantom(1, BOX)[0].astype(np.float32)


def slices(volume: np.ndarray, grid, rotations: np.ndarray) -> np.ndarray:
    values = slicing_values(jnp.asarray(volume), grid)
    poses = make_slices(jnp.asarray(rotations, jnp.float32), grid)
    return np.asarray(slice_volume(values, poses))


@settings(max_examples=20, deadline=None)
@given(arrays(np.float64, (4, 3), elements=st.floats(-180, 180)))
def test_rotation_vector_and_euler_angles_give_one_slice(volume, grid, euler):
    from_euler = euler_to_matrix(euler)
    vector = matrix_to_pose(from_euler).astype(np.float32)  # as a .cs stores it
    a, b = (slices(volume, grid, r) for r in (from_euler, pose_to_matrix(vector)))
    # Rotations to 1e-6 move a point at radius 8 by 1e-5 voxels.
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())


def test_a_slice_is_the_projection_of_the_turned_volume(volume, grid):
    """Quarter turns need no interpolation: RELION's A takes the volume's axes to the image's."""
    for euler in ([0, 0, 0], [90, 0, 0], [0, 90, 0], [90, 90, 0], [0, 90, 90], [180, 90, 270]):
        a = euler_to_matrix(np.array([euler], float))
        steps = np.arange(BOX) - BOX // 2
        x, y, z = np.meshgrid(steps, steps, steps, indexing="ij")
        # ρ(Aᵀ r): where the image's point r lies in the volume.
        place = np.round(np.stack([x, y, z], -1) @ a[0]).astype(int) + BOX // 2
        inside = ((place >= 0) & (place < BOX)).all(-1)
        i, j, k = np.where(inside[..., None], place, 0).reshape(-1, 3).T
        turned = np.where(inside.ravel(), volume[k, j, i], 0).reshape(BOX, BOX, BOX)
        image = turned.sum(2).T  # rows y, columns x
        on_grid = [to_fourier(jnp.asarray(v), grid) for v in (volume, as_slab(image))]
        turns = [make_slices(jnp.asarray(r, jnp.float32), grid) for r in (a, np.eye(3)[None])]
        found, expected = (slice_volume(v, t) for v, t in zip(on_grid, turns, strict=True))
        # float32
        np.testing.assert_allclose(found, expected, atol=1e-4 * float(jnp.abs(found).max()))


def as_slab(image: np.ndarray) -> np.ndarray:
    """A volume whose projection along z is the image: all of it in the middle plane."""
    slab = np.zeros((BOX, BOX, BOX), np.float32)
    slab[BOX // 2] = image
    return slab


def test_a_cryosparc_vector_turns_as_scipy_says():
    v = np.array([[0.3, -1.1, 0.7]])
    np.testing.assert_allclose(pose_to_matrix(v)[0].T, Rotation.from_rotvec(v[0]).as_matrix())
