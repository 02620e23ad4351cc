"""The fields of a particle: one row each, with what every program calls it and writes there.

Readers, translations, updates and the comparison after a conversion follow this table, so that a
field which both programs have is one more row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emjax.errors import InputError
from emjax.io.codecs import (
    DEGREES,
    EULER,
    FROM_ZERO,
    HALF,
    PIXELS,
    PROBABILITY,
    ROTATION_VECTOR,
    SIGN,
    SQUARE,
    CsColumn,
    Fields,
    StarColumns,
)


@dataclass(frozen=True)
class Range:
    """What a field may be, ends included."""

    lowest: float
    highest: float
    meaning: str


@dataclass(frozen=True)
class Field:
    """One quantity of every particle."""

    name: str
    unit: str
    star: StarColumns | None = None
    cs: CsColumn | None = None
    dtype: str = "f8"
    range: Range | None = None
    tolerance: float | None = None
    """What float32 fields and rounded decimals keep, and less than any program means."""
    period: float | None = None
    absent: float | None = None
    """What a file means that does not say; None: there is no such value."""
    optional: bool = False
    """Whether it is left out of a file where all particles have the value `absent`."""

    def check(self, values: np.ndarray, file: str, where: Callable[[int], str]) -> None:
        """Refuse values out of range.

        Args:
            values: `[n]` or `[n, m]`, in emjax's unit.
            file: for the message.
            where: names a row.

        Raises:
            InputError: for the first row out of range.
        """
        if self.range is None:
            return
        table = _components(values)
        good = ((table >= self.range.lowest) & (table <= self.range.highest)).all(1)
        if not good.all():
            row = int(np.argmin(good))
            found = ", ".join(f"{value:g}" for value in table[row])
            raise InputError(file, where(row), found, self.range.meaning)

    def differs(self, a: np.ndarray | None, b: np.ndarray) -> np.ndarray:
        """Rows where two readings of the field are apart by more than translation may change."""
        if a is None:
            a = np.full(len(b), self.absent, np.float64)
        apart = _components(np.abs(np.asarray(a, np.float64) - b)).max(1)
        if self.period is not None:
            apart = np.minimum(apart, np.abs(apart - self.period))
        return apart > (self.tolerance or 0)


def _components(values: np.ndarray) -> np.ndarray:
    """One row per particle, also of none."""
    return values.reshape(len(values), int(np.prod(values.shape[1:])))


_DEFOCUS = Range(-1e6, 1e6, "a defocus in Å")
_ANGLE = Range(-1e3, 1e3, "an angle (rad) of a few turns")
_TURN = 2 * np.pi

FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("index_in_stack", "from 0", None, CsColumn("blob/idx", "<u4"), "i8", tolerance=0.0),
        Field(
            "optics_group", "from 1",
            StarColumns(("rlnOpticsGroup",), dtype="i8"),
            CsColumn("ctf/exp_group_id", "<u4", codec=FROM_ZERO, required=False),
            "i4", tolerance=0.0, absent=1.0,
        ),
        Field(
            "voltage", "kV",
            StarColumns(("rlnVoltage",), optics=True),
            CsColumn("ctf/accel_kv", digits=7),
            range=Range(10.0, 1e4, "an acceleration voltage in kV"), tolerance=1e-4,
        ),
        Field(
            "spherical_aberration", "mm",
            StarColumns(("rlnSphericalAberration",), optics=True),
            CsColumn("ctf/cs_mm", digits=7),
            range=Range(-100.0, 100.0, "a spherical aberration in mm"), tolerance=1e-5,
        ),
        Field(
            "amplitude_contrast", "1",
            StarColumns(("rlnAmplitudeContrast",), optics=True, required=False, warn=True),
            CsColumn("ctf/amp_contrast", digits=7),
            range=Range(0.0, 1.0, "an amplitude contrast from 0 to 1"), tolerance=1e-6, absent=0.0,
        ),
        Field(
            "image_pixel_size", "Å",
            StarColumns(("rlnImagePixelSize",), optics=True),
            CsColumn("blob/psize_A", digits=7),
            range=Range(1e-3, 1e4, "a pixel size in Å above 0"), tolerance=1e-5,
        ),
        Field(
            "image_box_size", "pixels",
            StarColumns(("rlnImageSize",), dtype="i8", optics=True),
            CsColumn("blob/shape", "<u4", 2, SQUARE),
            "i8", Range(1.0, 65536.0, "a box size of 1 to 65536 pixels"),
        ),
        Field(
            "defocus_u", "Å",
            StarColumns(("rlnDefocusU",), dtype="f4"), CsColumn("ctf/df1_A"),
            range=_DEFOCUS, tolerance=0.02,
        ),
        Field(
            "defocus_v", "Å",
            StarColumns(("rlnDefocusV",), dtype="f4"), CsColumn("ctf/df2_A"),
            range=_DEFOCUS, tolerance=0.02,
        ),
        Field(
            "defocus_angle", "rad",
            StarColumns(("rlnDefocusAngle",), DEGREES, digits=6), CsColumn("ctf/df_angle_rad"),
            range=_ANGLE, tolerance=1e-6, period=_TURN,
        ),
        Field(
            "phase_shift", "rad",
            StarColumns(("rlnPhaseShift",), DEGREES, digits=6, required=False),
            CsColumn("ctf/phase_shift_rad", required=False),
            range=_ANGLE, tolerance=1e-6, period=_TURN, absent=0.0,
        ),
        Field(
            "ctf_scale", "1",
            StarColumns(("rlnCtfScalefactor",), required=False),
            CsColumn("ctf/scale", digits=7, required=False),
            range=Range(1e-6, 100.0, "a CTF scale above 0, up to 100"), tolerance=1e-5, absent=1.0,
            optional=True,
        ),
        Field(
            "ctf_bfactor", "Å²",
            StarColumns(("rlnCtfBfactor",), required=False),
            CsColumn("ctf/bfactor", digits=4, required=False),
            range=Range(-1e4, 1e4, "a B-factor in Å²"), tolerance=1e-3, absent=0.0, optional=True,
        ),
        # These three and how files write them: emjax.io.aberrations.
        Field(
            "odd_aberration", "rad·Å, rad·Å³",
            range=Range(-1e5, 1e5, "a phase of a few turns at 2 Å"), tolerance=0.02, absent=0.0,
        ),
        Field(
            "even_aberration", "rad·Å⁴",
            range=Range(-1e5, 1e5, "a phase of a few turns at 2 Å"), tolerance=0.02, absent=0.0,
        ),
        Field("magnification", "matrix M, by rows", tolerance=1e-6),
        Field(
            "ctf_applied", "0 as recorded, 1 phases flipped, 2 multiplied by the CTF",
            cs=CsColumn("emjax/ctf_applied", "<u4", required=False),
            dtype="i1", range=Range(0.0, 2.0, "0, 1 or 2"), tolerance=0.0, absent=0.0,
            optional=True,
        ),
        Field(
            "mirrored", "1 for images to be mirrored",
            StarColumns(("rlnIsFlip",), dtype="i8", required=False),
            CsColumn("emjax/mirrored", "<u4", required=False),
            "i1", Range(0.0, 1.0, "0 or 1"), tolerance=0.0, absent=0.0, optional=True,
        ),
        Field(
            "rotations", "matrix A",
            StarColumns(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), EULER, digits=7),
            CsColumn("alignments3D/pose", width=3, codec=ROTATION_VECTOR),
            tolerance=1e-6,
        ),
        Field(
            "shifts", "Å",
            StarColumns(
                ("rlnOriginXAngst", "rlnOriginYAngst"), digits=6, required=False,
                pixels=("rlnOriginX", "rlnOriginY"),
            ),
            CsColumn("alignments3D/shift", width=2, codec=PIXELS),
            range=Range(-1e6, 1e6, "a shift inside the image"), tolerance=1e-4, absent=0.0,
        ),
        Field(
            "half", "1 or 2",
            StarColumns(("rlnRandomSubset",), dtype="i8", required=False),
            CsColumn("alignments3D/split", "<u4", codec=HALF, required=False),
            "i1", Range(0.0, 2.0, "1 or 2"), tolerance=0.0, absent=0.0, optional=True,
        ),
        Field(
            "class_number", "from 1, 0 unassigned",
            StarColumns(("rlnClassNumber",), dtype="i8", required=False),
            CsColumn("alignments3D/class", "<u4", codec=FROM_ZERO, required=False),
            tolerance=0.0, absent=1.0, optional=True,
        ),
        Field(
            "posterior", "1",
            StarColumns(("rlnMaxValueProbDistribution",), dtype="f4", required=False),
            CsColumn("alignments3D/class_posterior", codec=PROBABILITY, required=False),
            tolerance=1e-6, absent=1.0, optional=True,
        ),
        Field(
            "intersection", "id in intersections.tsv, 0 in none",
            StarColumns(("emjaxIntersection",), dtype="i8", required=False),
            CsColumn("emjax/intersection", "<u4", required=False),
            "i8", tolerance=0.0, absent=0.0, optional=True,
        ),
        Field(
            "contrast", "−1 for dark particles",
            StarColumns(("emjaxContrastSign",), SIGN, dtype="i8", required=False),
            CsColumn("blob/sign", codec=SIGN, required=False),
            "i1", tolerance=0.0, absent=1.0, optional=True,
        ),
    )
}  # fmt: skip
"""All numbers of a particle; text (image, micrograph, uid) has the names below."""

IMAGE_NAME, IMAGE_PATH = "rlnImageName", "blob/path"
MICROGRAPH_NAME, MICROGRAPH_PATH = "rlnMicrographName", "location/micrograph_path"
UID = "emjaxUid"
ORIGINAL_NAME = "emjaxImageName"
"""The image's name in the input, where the written one had to change."""
SET_ASIDE = "emjaxSetAside"
"""Why a particle takes no part in the classes: one of the words below."""
SET_ASIDE_REASONS = ("none", "image", "junk", "pose", "between", "pruned")
"""It does · its image is bad · no particle · not at this pose · fits two classes · pruned."""
FIT = "emjaxFit"
"""Log-likelihood ratio of the best map against no particle, in nats."""
REFINED_POSE = (
    "emjaxRefinedAngleRot",
    "emjaxRefinedAngleTilt",
    "emjaxRefinedAnglePsi",
    "emjaxRefinedOriginXAngst",
    "emjaxRefinedOriginYAngst",
)
"""The pose that a campaign worked with, in degrees and Å, where it is another than the input's."""
CS_CLASS_NUMBER = "emjax/class_number"
"""From 1; CryoSPARC itself knows no unassigned particles."""
ALIGNMENT_PIXEL_SIZE = "alignments3D/psize_A"
"""Å: unit of CryoSPARC's shifts, where it is not that of the images."""

CTF_FLAGS = ("rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied")
"""What RELION calls `ctf_applied` 1 and 2."""

CTF = tuple(
    field
    for field in FIELDS.values()
    if field.cs and field.cs.slot == "ctf" and field.name != "optics_group"
)


def neutral_ctf(n: int) -> dict[str, np.ndarray]:
    """CTF parameters of n images for which it is 1 at all frequencies."""
    known = {"voltage": 300.0, "amplitude_contrast": 1.0}
    return {f.name: np.full(n, known.get(f.name, f.absent or 0.0)) for f in CTF}


def star_columns(name: str) -> StarColumns:
    """The row's columns in STAR files."""
    columns = FIELDS[name].star
    assert columns is not None, name
    return columns


def label(name: str) -> str:
    """The row's (first) STAR label."""
    return star_columns(name).labels[0]


def cs_column(name: str) -> CsColumn:
    """The row's field in `.cs` tables."""
    column = FIELDS[name].cs
    assert column is not None, name
    return column


def check_ranges(fields: Fields, file: str, where: Callable[[int], str]) -> None:
    """Refuse values that no microscope gives.

    Args:
        fields: by name, in emjax's units; 0 for a box size that the file does not say.
        file: for the message.
        where: names a row.

    Raises:
        InputError: for the first that is out of range.
    """
    for name, values in fields.items():
        if name in FIELDS and name != "image_box_size":
            FIELDS[name].check(values, file, lambda row, name=name: f"{where(row)}, {name}")
