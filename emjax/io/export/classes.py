"""The maps of a campaign's classes, with half-maps, FSC and resolution."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.files import atomic_path, read_tsv
from emjax.resolution import resolution_at


@dataclass(frozen=True)
class ExportedClass:
    """The files of one class; half-maps unmasked, or None where there are none."""

    map: Path
    half_maps: tuple[Path, Path] | None = None
    resolution: float = 999.0
    """Å, where the FSC falls below 0.143."""
    fsc: np.ndarray | None = None
    """One value per shell of the map's box, DC first."""


def copy_map(source: Path, target: Path) -> Path:
    """Copy a map whole or not at all."""
    with atomic_path(target) as beside:
        if not os.path.isfile(source):
            raise InputError(source, None, "no such file", "a map")
        shutil.copyfile(source, beside)
    return target


def find_class(path: Path, half_maps: tuple[Path, Path], fsc_path: Path) -> ExportedClass:
    """A class with what there is of it.

    Args:
        path: the map.
        half_maps: of the half-sets; left out unless both are there.
        fsc_path: table of their FSC and resolution (Å); left out where it is missing.
    """
    fsc, resolution = None, 999.0
    if fsc_path.exists():
        table = read_tsv(fsc_path)
        # The table leaves out shell 0, where both halves agree by construction.
        fsc = np.concatenate([[1.0], table["fsc"].to_numpy(np.float64)])
        if len(table):
            resolution = resolution_at(fsc, float(table["resolution"].iloc[0]))
    both = all(half_map.exists() for half_map in half_maps)
    return ExportedClass(path, half_maps if both else None, resolution, fsc)
