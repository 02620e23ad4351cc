"""Poses as RELION (Euler angles) and CryoSPARC (rotation vectors) write them, as matrices."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.transform import Rotation


def euler_to_matrix(angles: np.ndarray) -> np.ndarray:
    """RELION's rotation matrices A = Rz(psi) Ry(tilt) Rz(rot) from angles in degrees.

    A central slice in the volume's frame is Aᵀ (kx, ky, 0).

    Args:
        angles: rot, tilt, psi, `[n, 3]`.
    """
    return Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().transpose(0, 2, 1)


def matrix_to_euler(rotations: np.ndarray) -> np.ndarray:
    """Angles rot, tilt, psi in degrees, `[n, 3]`; at the poles all of the rotation is in rot."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gimbal lock", UserWarning)
        return Rotation.from_matrix(np.swapaxes(rotations, 1, 2)).as_euler("ZYZ", degrees=True)


def pose_to_matrix(pose: np.ndarray) -> np.ndarray:
    """RELION's A from CryoSPARC's rotation vectors `[n, 3]`: expm([v]×)ᵀ."""
    return Rotation.from_rotvec(pose).as_matrix().transpose(0, 2, 1)


def matrix_to_pose(rotations: np.ndarray) -> np.ndarray:
    """CryoSPARC's rotation vectors `[n, 3]` from RELION's A."""
    return Rotation.from_matrix(np.swapaxes(rotations, 1, 2)).as_rotvec()
