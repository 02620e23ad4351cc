"""The map of a class, where the run that made the classes has left it beside them."""

from __future__ import annotations

import re
from pathlib import Path

from emjax.io.star.relion import beside, job_particles
from emjax.io.star.tables import read_star

_CRYOSPARC = re.compile(r"(?:^|_)class_(\d+)(?:_(\d+))?(?:_final)?_volume\.mrc$")
_JOB = re.compile(r"(?:^|_)(J\d+)(?=_|$)")


def find_class_map(labels: str | Path, number: int) -> Path | None:
    """The map of a class of a label file; None where there is none beside it.

    RELION's `run_it025_class001.mrc` beside `run_it025_data.star` (or what its model file names),
    emjax's `class_001.mrc` beside `particles.star`, and of a CryoSPARC job
    `J12_class_00_final_volume.mrc`, or the volume of the last iteration.

    Args:
        labels: label file, or the folder of a RELION job.
        number: of the class, from 1.
    """
    path = Path(labels)
    path = job_particles(path) if path.is_dir() else path
    if path.suffix in (".cs", ".csg"):
        return _of_cryosparc(path, number - 1)
    if path.stem.endswith("_data"):
        named = path.with_name(f"{path.stem.removesuffix('_data')}_class{number:03d}.mrc")
        return named if named.is_file() else _of_model(path, number)
    own = path.with_name(f"class_{number:03d}.mrc")
    return own if own.is_file() else None


def _of_model(path: Path, number: int) -> Path | None:
    """By the job's model file, whose paths start in the project's folder."""
    model = beside(path, "model")
    star = None if model is None else read_star(model)
    if star is None or "model_classes" not in star:
        return None
    table = star["model_classes"]
    if "rlnReferenceImage" not in table or number > len(table):
        return None
    found = path.with_name(Path(table.text("rlnReferenceImage")[number - 1]).name)
    return found if found.suffix == ".mrc" and found.is_file() else None


def _of_cryosparc(path: Path, number: int) -> Path | None:
    own = path.with_name(f"class_{number + 1:03d}.mrc")
    if own.is_file():
        return own
    job = _JOB.search(path.stem)
    volumes = []
    for volume in path.parent.glob("*_volume.mrc"):
        match, other = _CRYOSPARC.search(volume.name), _JOB.search(volume.stem)
        same = job is None or (other is not None and other[1] == job[1])
        if match and same and int(match[1]) == number:
            final = "final" in volume.name
            volumes.append((final, int(match[2] or 0), volume))
    return max(volumes)[2] if volumes else None
