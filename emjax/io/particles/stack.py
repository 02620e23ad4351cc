"""An image stack by itself as particles: no table says their poses or CTF."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.fields import IMAGE_NAME, label
from emjax.io.mrc.header import read_header
from emjax.io.star.relion import StarParticles
from emjax.io.star.tables import StarFile, make_table

_STACKS = (".mrcs", ".st")  # .mrc may be a map


def is_stack(path: str | Path) -> bool:
    """Whether the name is that of an image stack."""
    return Path(path).suffix.lower() in _STACKS


def stack_source(path: str | Path) -> StarParticles:
    """The table that would list the images of a stack, with the header's pixel size.

    Raises:
        InputError: when it is no stack of square images.
    """
    header = read_header(path)
    n, y, x = header.shape
    if x != y:
        raise InputError(path, None, f"images of {x} x {y} pixels", "square images")
    if header.voxel_size is None:
        note = f"{path}: no pixel size in the header; taken as 1 Å, so lengths in Å are in pixels"
        warnings.warn(note, stacklevel=3)
    optics = {
        label("optics_group"): [1],
        "rlnOpticsGroupName": ["opticsGroup1"],
        label("image_pixel_size"): [header.voxel_size or 1.0],
        label("image_box_size"): [x],
        "rlnImageDimensionality": [2],
        # RELION opens no table without; nothing is computed from them where no defocus is.
        "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1],
    }
    columns = {
        IMAGE_NAME: [f"{i + 1:06d}@{Path(path)}" for i in range(n)],
        label("optics_group"): np.ones(n, int),
    }
    tables = (make_table("optics", optics), make_table("particles", columns))
    found = StarParticles(StarFile(tables, Path(path)), "particles", "optics")
    return found.with_particles(replace(found.particles, file=str(path)))
