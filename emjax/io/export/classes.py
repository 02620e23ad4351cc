"""The maps of a campaign's classes, with half-maps, FSC and resolution."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.files import atomic_path
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


def link_map(source: Path, target: Path) -> Path:
    """The same map under another name: a hard link, or a copy where the file system has none.

    Maps are never changed in place, and a full-box map of a large particle takes half a gigabyte.
    """
    with atomic_path(target) as beside:
        if not os.path.isfile(source):
            raise InputError(source, None, "no such file", "a map")
        try:
            os.link(os.path.realpath(source), beside)
        except OSError:
            shutil.copyfile(source, beside)
    return target


def describe_class(
    path: Path, half_maps: tuple[Path, Path], table: pd.DataFrame | None
) -> ExportedClass:
    """A class with what there is of it.

    Args:
        path: the map.
        half_maps: of the half-sets; left out unless both are there.
        table: their FSC and resolution (Å) by shell, if any.
    """
    fsc, resolution = None, 999.0
    if table is not None:
        # The table leaves out shell 0, where both halves agree by construction.
        fsc = np.concatenate([[1.0], table["fsc"].to_numpy(np.float64)])
        if len(table):
            resolution = resolution_at(fsc, float(table["resolution"].iloc[0]))
    both = all(half_map.exists() for half_map in half_maps)
    return ExportedClass(path, half_maps if both else None, resolution, fsc)


def class_members(number: np.ndarray) -> dict[str, np.ndarray]:
    """Which particles belong to each class, and to none where there are some, by file name."""
    sets = {f"class_{k:03d}": number == k for k in range(1, int(number.max(initial=0)) + 1)}
    return sets | ({"unassigned": number == 0} if (number == 0).any() else {})
