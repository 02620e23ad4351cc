"""In-plane rotation agrees with the poses' convention."""

import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from emjax.imaging.inplane import inplane_angles, rotate_upright
from emjax.simulate.images import gaussian_blobs


def poses(angles: np.ndarray) -> np.ndarray:
    """RELION's A of rows (rot, tilt, psi) in degrees."""
    return np.swapaxes(Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix(), 1, 2)


def test_angle_is_psi_and_takes_all_of_it_where_the_tilt_is_zero() -> None:
    angles = np.array([[20.0, 50.0, 70.0], [10.0, 90.0, -130.0], [0.0, 0.0, 35.0]])
    np.testing.assert_allclose(inplane_angles(poses(angles)), np.deg2rad(angles[:, 2]), atol=1e-9)
    both = inplane_angles(poses(np.array([[25.0, 0.0, 35.0]])))
    np.testing.assert_allclose(both, np.deg2rad([60.0]), atol=1e-9)


def test_images_of_one_view_coincide_once_rotated() -> None:
    rng = np.random.default_rng(0)
    psi = np.array([0.0, 40.0, -110.0, 173.0])
    rotations = poses(np.column_stack([np.full(4, 30.0), np.full(4, 60.0), psi]))
    points = rng.uniform(-9, 9, (5, 3))
    images = []
    for rotation in rotations:
        # k3D = Aᵀ(kx, ky, 0): a point r is seen at the first two coordinates of A r.
        x, y, _ = rotation @ points.T
        images.append(gaussian_blobs(48, np.column_stack([y, x, np.full(5, 2.5), np.ones(5)])))
    upright = np.asarray(
        rotate_upright(
            jnp.asarray(np.stack(images), jnp.float32),
            jnp.asarray(inplane_angles(rotations), jnp.float32),
        )
    )
    # Bilinear reading of the twofold finer image is good to half a per cent of the peak.
    np.testing.assert_allclose(upright[1:], np.broadcast_to(upright[0], (3, 48, 48)), atol=0.01)
    assert np.abs(np.stack(images)[1:] - images[0]).max() > 0.5
