"""The maps of a campaign's classes, with half-maps, FSC and resolution."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.files import atomic_path, read_tsv
from emjax.resolution import resolution_at

_CLASS_MAP = re.compile(r"class_(\d{3})\.mrc")


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


def consensus_classes(folder: str | Path) -> list[ExportedClass]:
    """The maps of a `consensus/` folder with half-maps, FSC and resolution.

    Raises:
        InputError: when there is no map, or their numbers have a gap.
    """
    folder = Path(folder)
    matches = (_CLASS_MAP.fullmatch(path.name) for path in folder.glob("class_*.mrc"))
    numbers = sorted(int(match[1]) for match in matches if match)
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        found = ", ".join(f"class_{k:03d}.mrc" for k in numbers) or "no map"
        raise InputError(folder, None, found, "class_001.mrc and so on without a gap")
    return [_class(folder / f"class_{k:03d}") for k in numbers]


def _class(stem: Path) -> ExportedClass:
    halves = tuple(stem.with_name(f"{stem.name}_half{h}.mrc") for h in (1, 2))
    fsc_path = stem.with_name(f"{stem.name}_fsc.tsv")
    fsc, resolution = None, 999.0
    if fsc_path.exists():
        table = read_tsv(fsc_path)
        # The table leaves out shell 0, where both halves agree by construction.
        fsc = np.concatenate([[1.0], table["fsc"].to_numpy(np.float64)])
        if len(table):
            resolution = resolution_at(fsc, float(table["resolution"].iloc[0]))
    both = halves[0].exists() and halves[1].exists()
    return ExportedClass(
        stem.with_name(f"{stem.name}.mrc"),
        (halves[0], halves[1]) if both else None,
        resolution,
        fsc,
    )
