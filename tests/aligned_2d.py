"""One view with a rotating domain, as 2D jobs leave it: psi and origins, alignments2D, a stack."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from emjax.io.cryosparc.tables import write_cs
from emjax.io.mrc.volume import write_stack
from emjax.io.particles.columns import make_records
from emjax.io.star.tables import StarFile, make_table, write_star
from emjax.simulate.images import rotating_domain

PIXEL = 4.0  # Å


def write_images(folder: Path, n: int = 400, box_size: int = 48, signal_to_noise: float = 0.5):
    """Write `particles.star` and `particles.cs` on `images.mrcs`, and `aligned.mrcs`.

    The images of the last are rotated and shifted by SciPy, as `relion_stack_create
    --apply_transformation` would.

    Returns:
        The angle of the domain in each image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    upright, angles = rotating_domain(n, box_size, signal_to_noise=1e9)
    psi, origin = rng.uniform(-180, 180, n), rng.normal(0, 1.5, (n, 2))  # degrees, pixels (x, y)
    images = np.stack(
        [_rotated(i, -a, -np.flip(o)) for i, a, o in zip(upright, psi, origin, strict=True)]
    )
    noise = rng.standard_normal(images.shape, np.float32)
    images += noise * np.sqrt(images.var() / signal_to_noise)
    # First the shift, then the rotation: what lies at R·x − o comes to x.
    aligned = [
        _rotated(ndimage.shift(i, np.flip(o), order=3, mode="grid-wrap"), a, np.zeros(2))
        for i, a, o in zip(images, psi, origin, strict=True)
    ]
    write_stack(folder / "images.mrcs", images, PIXEL)
    write_stack(folder / "aligned.mrcs", np.stack(aligned).astype(np.float32), PIXEL)
    optics = {
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["opticsGroup1"], "rlnImagePixelSize": [PIXEL],
        "rlnImageSize": [box_size], "rlnImageDimensionality": [2],
        "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1],
    }  # fmt: skip
    particles = {
        "rlnImageName": [f"{i + 1:06d}@{folder.name}/images.mrcs" for i in range(n)],
        "rlnOpticsGroup": np.ones(n, int),
        "rlnAnglePsi": psi.round(4),
        "rlnOriginXAngst": (origin[:, 0] * PIXEL).round(4),
        "rlnOriginYAngst": (origin[:, 1] * PIXEL).round(4),
    }
    tables = (make_table("optics", optics), make_table("particles", particles))
    write_star(folder / "particles.star", StarFile(tables))
    _write_cs(folder, n, box_size, psi, origin)
    return angles


def _rotated(image: np.ndarray, degrees: float, offset: np.ndarray) -> np.ndarray:
    """The value at x comes from R·(x − offset), about the centre pixel; axes y, x."""
    a, centre = np.deg2rad(degrees), np.full(2, len(image) // 2)
    rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    start = centre - rotation @ (centre + offset)
    return ndimage.affine_transform(image, rotation, start, order=3).astype(np.float32)


def _write_cs(folder: Path, n: int, box_size: int, psi: np.ndarray, origin: np.ndarray) -> None:
    """As a 2D classification of CryoSPARC writes it; defocus so small that no phase is flipped."""
    ctf = {"accel_kv": 300, "cs_mm": 2.7, "amp_contrast": 0.1, "df1_A": 500, "df2_A": 500,
           "df_angle_rad": 0, "phase_shift_rad": 0, "scale": 1}  # fmt: skip
    columns = {
        "uid": np.arange(100, 100 + n, dtype="<u8"),
        "blob/path": np.full(n, f">{folder.name}/images.mrcs".encode()),
        "blob/idx": np.arange(n, dtype="<u4"),
        "blob/shape": np.full((n, 2), box_size, "<u4"),
        "blob/psize_A": np.full(n, PIXEL, "<f4"),
        "blob/sign": np.ones(n, "<f4"),
        "alignments2D/split": (np.arange(n) % 2).astype("<u4"),
        "alignments2D/shift": origin.astype("<f4"),
        "alignments2D/pose": np.deg2rad(psi).astype("<f4"),
        "alignments2D/psize_A": np.full(n, PIXEL, "<f4"),
        "alignments2D/class": np.zeros(n, "<u4"),
        "alignments2D/class_posterior": np.ones(n, "<f4"),
    } | {f"ctf/{name}": np.full(n, value, "<f4") for name, value in ctf.items()}
    write_cs(folder / "particles.cs", make_records(columns))
