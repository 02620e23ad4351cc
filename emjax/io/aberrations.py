"""Aberrations beyond defocus and Cs, as RELION and CryoSPARC write them and as emjax holds them.

RELION adds Zernike polynomials of the spatial frequency k (1/Å, angle θ from the x axis) to the
phase of an image (odd ones) and subtracts them from the χ of its CTF (even ones). Polynomials of
several orders overlap, so emjax holds coefficients of powers of k instead: what acts as defocus,
astigmatism, Cs or phase shift is added to these, and what is left are

- `odd_aberration`, the phase in rad of k·cos θ, k·sin θ (an image shift, rad·Å), k³·cos θ, k³·sin θ
  (beam tilt), k³·cos 3θ, k³·sin 3θ (trefoil, rad·Å³);
- `even_aberration`, in rad·Å⁴, of k⁴·cos 2θ, k⁴·sin 2θ, k⁴·cos 4θ, k⁴·sin 4θ (tetrafoil).

Source: Zivanov, Nakane & Scheres, IUCrJ 7 (2020) 253.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import factorial

import numpy as np

from emjax.electron import wavelength_of
from emjax.errors import InputError
from emjax.io.codecs import Fields

TILT = ("rlnBeamTiltX", "rlnBeamTiltY")
"""mrad."""
ODD, EVEN = "rlnOddZernike", "rlnEvenZernike"
MAGNIFICATION = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
"""The frequency k of an image lies at M·k of the particle's projection."""
STAR_LABELS = (*TILT, ODD, EVEN, *MAGNIFICATION)
CS_NAMES = ("ctf/shift_A", "ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")

Term = tuple[int, int]
"""Angular order, negative for the sine, and power of k."""
_ODD_TERMS: tuple[Term, ...] = ((1, 1), (-1, 1), (1, 3), (-1, 3), (3, 3), (-3, 3))
_EVEN_TERMS: tuple[Term, ...] = ((2, 4), (-2, 4), (4, 4), (-4, 4))
_FOLDED: tuple[Term, ...] = ((0, 0), (0, 2), (2, 2), (-2, 2), (0, 4))
_MRAD = 1e4  # mm · mrad in Å
_LARGEST_MAGNIFICATION = 0.2
_IDENTITY = np.array([1.0, 0.0, 0.0, 1.0])


def neutral(n: int) -> dict[str, np.ndarray]:
    """The fields of n particles without such aberrations."""
    return {
        "odd_aberration": np.zeros((n, len(_ODD_TERMS))),
        "even_aberration": np.zeros((n, len(_EVEN_TERMS))),
        "magnification": np.tile(_IDENTITY, (n, 1)),
    }


def from_star(columns: Fields, ctf: Fields) -> dict[str, np.ndarray]:
    """Fields of the particles, and those of their CTF that even terms change.

    Args:
        columns: values of `STAR_LABELS` that the file has, `[n]`, of Zernike terms `[n, z]`.
        ctf: voltage, spherical_aberration, defocus and phase shift in emjax's units.
    """
    n = len(ctf["voltage"])
    found = neutral(n)
    wavelength = wavelength_of(ctf["voltage"])
    odd = _powers(columns.get(ODD, np.zeros((n, 0))), False)
    found["odd_aberration"] = np.stack([odd.get(t, np.zeros(n)) for t in _ODD_TERMS], 1)
    per_mrad = -2 * np.pi * _MRAD * ctf["spherical_aberration"] * wavelength**2
    for place, label in enumerate(TILT, 2):
        if label in columns:
            found["odd_aberration"][:, place] += per_mrad * columns[label]
    for place, label in enumerate(MAGNIFICATION):
        if label in columns:
            found["magnification"][:, place] = columns[label]
    if EVEN not in columns:
        return found
    even = _powers(columns[EVEN], True)
    found["even_aberration"] = np.stack([even.get(t, np.zeros(n)) for t in _EVEN_TERMS], 1)
    return found | _folded([even.get(t, np.zeros(n)) for t in _FOLDED], ctf, wavelength)


def _folded(terms: list[np.ndarray], ctf: Fields, wavelength: np.ndarray) -> dict[str, np.ndarray]:
    """Phase shift, defocus and Cs with the even terms that act as they do; χ loses the terms."""
    constant, square, cosine, sine, fourth = terms
    changed: dict[str, np.ndarray] = {}
    if constant.any():
        changed["phase_shift"] = ctf["phase_shift"] - constant
    if fourth.any():
        more = 2e-7 * fourth / (np.pi * wavelength**3)
        changed["spherical_aberration"] = ctf["spherical_aberration"] + more
    if square.any() or cosine.any() or sine.any():
        u, v, angle = (ctf[f"defocus_{name}"].astype(float) for name in ("u", "v", "angle"))
        unit = np.pi * wavelength
        mean, vector = (u + v) / 2 - square / unit, (u - v) / 2 * np.exp(2j * angle)
        vector = vector - (cosine + 1j * sine) / unit
        changed["defocus_u"], changed["defocus_v"] = mean + abs(vector), mean - abs(vector)
        changed["defocus_angle"] = np.where(vector == 0, angle, np.angle(vector) / 2)
    return changed


def to_star(fields: Fields) -> dict[str, np.ndarray]:
    """Columns of `STAR_LABELS` that say something; Zernike terms `[n, z]`."""
    columns: dict[str, np.ndarray] = {}
    x, y, tilt_x, tilt_y, cos3, sin3 = fields["odd_aberration"].T
    aberration, wavelength = fields["spherical_aberration"], wavelength_of(fields["voltage"])
    per_mrad = -2 * np.pi * _MRAD * aberration * wavelength**2
    tilts = np.stack([tilt_x, tilt_y])
    if (tilts != 0).any() and (per_mrad != 0).all():
        columns |= dict(zip(TILT, tilts / per_mrad, strict=True))
        tilts = np.zeros_like(tilts)
    # A Zernike polynomial of beam tilt, (3k³ − 2k)·cos θ, holds an image shift.
    odd = np.stack([y + 2 / 3 * tilts[1], x + 2 / 3 * tilts[0], sin3, *tilts[::-1] / 3, cos3], 1)
    if odd.any():
        columns[ODD] = odd
    cos2, sin2, cos4, sin4 = fields["even_aberration"].T
    if fields["even_aberration"].any():
        zero = np.zeros_like(cos2)
        # (4k⁴ − 3k²)·cos 2θ holds an astigmatism, which is in the defocus already.
        low, high = (0.75 * sin2, 0.75 * cos2), (sin4, sin2 / 4, zero, cos2 / 4, cos4)
        columns[EVEN] = np.stack([zero, low[0], zero, low[1], *high], 1)
    if (fields["magnification"] != _IDENTITY).any():
        columns |= dict(zip(MAGNIFICATION, fields["magnification"].T, strict=True))
    return columns


def zernike(values: np.ndarray) -> list[str]:
    """Lists of Zernike terms, `[n, z]`, as RELION writes them."""
    return ["[" + ",".join(map(repr, row)) + "]" for row in (values + 0.0).tolist()]


def from_cs(columns: Fields, voltage: np.ndarray) -> dict[str, np.ndarray]:
    """Fields of the particles.

    Args:
        columns: values of `CS_NAMES` that the table has, `[n, m]`.
        voltage: kV.
    """
    found, wavelength = neutral(len(voltage)), wavelength_of(voltage)[:, None]
    for place, (name, factor) in enumerate(_cs_odd(wavelength).items()):
        if name in columns:
            found["odd_aberration"][:, 2 * place : 2 * place + 2] = factor * columns[name]
    if "ctf/tetra_A" in columns:
        found["even_aberration"] = _cs_even(wavelength) * columns["ctf/tetra_A"]
    if "ctf/anisomag" in columns:
        found["magnification"] = _IDENTITY + columns["ctf/anisomag"]
    return found


def to_cs(fields: Fields) -> dict[str, np.ndarray]:
    """All fields of `CS_NAMES`, float32."""
    wavelength = wavelength_of(fields["voltage"])[:, None]
    columns = {
        name: fields["odd_aberration"][:, 2 * place : 2 * place + 2] / factor
        for place, (name, factor) in enumerate(_cs_odd(wavelength).items())
    }
    columns["ctf/tetra_A"] = fields["even_aberration"] / _cs_even(wavelength)
    columns["ctf/anisomag"] = fields["magnification"] - _IDENTITY
    # No minus before zeros.
    return {name: (values + 0.0).astype("<f4") for name, values in columns.items()}


def check_magnification(values: np.ndarray, file: str, where: Callable[[int], str]) -> None:
    """Refuse matrices that no microscope has.

    Args:
        values: `[n, 4]`.
        file: for the message.
        where: names a row.

    Raises:
        InputError: for the first one.
    """
    good = (np.abs(values - _IDENTITY) <= _LARGEST_MAGNIFICATION).all(1)
    if not good.all():
        row = int(np.argmin(good))
        found = ", ".join(f"{value:g}" for value in values[row])
        expected = f"within {_LARGEST_MAGNIFICATION} of 1, 0, 0, 1"
        raise InputError(file, f"{where(row)}, magnification matrix", found, expected)


def _cs_odd(wavelength: np.ndarray) -> dict[str, np.ndarray]:
    """Phase of a unit of CryoSPARC's odd aberrations, in the order of `odd_aberration`."""
    per_tilt = -2 * np.pi * wavelength**2
    shift = np.full_like(wavelength, -2 * np.pi)
    return {"ctf/shift_A": shift, "ctf/tilt_A": per_tilt, "ctf/trefoil_A": per_tilt / 3}


def _cs_even(wavelength: np.ndarray) -> np.ndarray:
    return np.pi * wavelength**3 * np.array([2.0, 2.0, 0.5, 0.5])


def left_out(columns: Fields, frequency: float) -> float:
    """Largest phase in rad, at a frequency in 1/Å, of Zernike terms that emjax does not hold.

    Args:
        columns: values of `STAR_LABELS` that the file has.
        frequency: 1/Å.
    """
    held = {*_ODD_TERMS, *_EVEN_TERMS, *_FOLDED}
    worst = 0.0
    for label, even in ((ODD, False), (EVEN, True)):
        if label in columns:
            terms = _powers(columns[label], even)
            rest = [abs(v) * frequency**p for (m, p), v in terms.items() if (m, p) not in held]
            worst = max(worst, float(np.sum(rest, 0).max()) if rest else 0.0)
    return worst


def _powers(coefficients: np.ndarray, even: bool) -> Mapping[Term, np.ndarray]:
    """Zernike polynomials, `[n, z]` in RELION's order, as powers of k for each angular order."""
    found: dict[Term, np.ndarray] = {}
    for (m, n), values in zip(_orders(coefficients.shape[1], even), coefficients.T, strict=True):
        for k in range((n - abs(m)) // 2 + 1):
            half = (n + abs(m)) // 2 - k, (n - abs(m)) // 2 - k
            below = factorial(k) * factorial(half[0]) * factorial(half[1])
            term = (m, n - 2 * k)
            more = (-1) ** k * factorial(n - k) // below * values
            found[term] = found.get(term, 0.0) + more
    return found


def _orders(count: int, even: bool) -> Iterable[Term]:
    """Angular and radial order of RELION's polynomials: by radial order, sines first."""
    orders = [
        (m, n) for n in range(0 if even else 1, 2 * count + 2, 2) for m in range(-n, n + 1, 2)
    ]
    return orders[:count]
