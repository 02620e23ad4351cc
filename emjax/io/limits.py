"""Values that no microscope gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emjax.errors import InputError

LARGEST_PIXEL = 1e4
"""Å."""
_CTF_RANGES = {
    "voltage": (10, 10_000, "an acceleration voltage in kV"),
    "spherical_aberration": (-100, 100, "a spherical aberration in mm"),
    "amplitude_contrast": (0, 1, "an amplitude contrast from 0 to 1"),
    "defocus_u": (-1e6, 1e6, "a defocus in Å"),
    "defocus_v": (-1e6, 1e6, "a defocus in Å"),
    "defocus_angle": (-1e3, 1e3, "an angle (rad) of a few turns"),
    "phase_shift": (-1e3, 1e3, "an angle (rad) of a few turns"),
}


def check_shifts(shifts: np.ndarray, file: str, where: Callable[[int], str]) -> None:
    """Refuse shifts that leave every image.

    Args:
        shifts: Å, `[n, 2]`.
        file: for the message.
        where: names a row.

    Raises:
        InputError: for the first beyond 100 µm.
    """
    good = (np.abs(shifts) <= 1e6).all(1)
    if not good.all():
        row = int(np.argmin(good))
        found = f"{shifts[row, 0]:g}, {shifts[row, 1]:g}"
        raise InputError(file, f"{where(row)}, shift", found, "a shift inside the image")


def check_ctf(fields: dict[str, np.ndarray], file: str, where: Callable[[int], str]) -> None:
    """Refuse CTF parameters that no microscope has.

    Args:
        fields: parameters by name, one a particle.
        file: for the message.
        where: names a row.

    Raises:
        InputError: for the first that is out of range.
    """
    for name, (lowest, highest, meaning) in _CTF_RANGES.items():
        good = (fields[name] >= lowest) & (fields[name] <= highest)
        if not good.all():
            row = int(np.argmin(good))
            raise InputError(file, f"{where(row)}, {name}", f"{fields[name][row]:g}", meaning)
