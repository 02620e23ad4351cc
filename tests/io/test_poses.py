"""Euler angles, rotation vectors and matrices are one pose."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import expm

from emjax.io.poses import euler_to_matrix, matrix_to_euler, matrix_to_pose, pose_to_matrix

angles = arrays(np.float64, (3, 3), elements=st.floats(-360, 360))


def test_angles_are_relions():
    rot, tilt, psi = np.deg2rad([30.0, 40.0, 50.0])

    def rz(a):
        return np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])

    ry = np.array([[np.cos(tilt), 0, -np.sin(tilt)], [0, 1, 0], [np.sin(tilt), 0, np.cos(tilt)]])
    expected = rz(psi) @ ry @ rz(rot)
    np.testing.assert_allclose(euler_to_matrix(np.array([[30.0, 40, 50]]))[0], expected, atol=1e-12)


@settings(deadline=None)
@given(angles)
def test_euler_angles_rotation_vectors_and_matrices_agree(euler):
    a = euler_to_matrix(euler)
    np.testing.assert_allclose(
        euler_to_matrix(matrix_to_euler(a)), a, atol=2e-7
    )  # tilt < 1e-7 is 0
    np.testing.assert_allclose(pose_to_matrix(matrix_to_pose(a)), a, atol=1e-7)
    single = matrix_to_pose(a).astype(np.float32)
    np.testing.assert_allclose(pose_to_matrix(single), a, atol=1e-6)


def test_rotation_vectors_are_matrix_exponentials():
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    for (x, y, z), a in zip(vectors, pose_to_matrix(vectors), strict=True):
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        np.testing.assert_allclose(a, expm(cross).T, atol=1e-12)


def test_a_zero_rotation_vector_is_the_identity():
    np.testing.assert_array_equal(pose_to_matrix(np.zeros((1, 3)))[0], np.eye(3))
