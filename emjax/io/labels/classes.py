"""The particles of a classification and its class averages or maps, from one file or folder."""

from __future__ import annotations

from itertools import count, takewhile
from pathlib import Path

from emjax.errors import InputError
from emjax.io.labels.maps import find_class_map
from emjax.io.star.relion import beside, job_particles

_CS_AVERAGES = ("class_averages", "templates")
_EXPECTED = (
    "a RELION Class2D or Class3D job, a CryoSPARC 2D job, or a run's folder, or their particles"
)


def find_classes(path: str | Path) -> tuple[Path, list[Path]]:
    """The particles with class numbers, and what holds the average or the map of each class.

    Args:
        path: a job's folder; its `_data.star`, `_model.star` or `_optimiser.star`; particles of a
            CryoSPARC job (`.cs`); `particles.star` beside `class_averages.star` or class maps.

    Raises:
        InputError: where there are none, or several that could be meant.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(path, None, "nothing of this name", _EXPECTED)
    particles = _particles(path)
    return particles, _references(particles)


def _particles(path: Path) -> Path:
    if path.is_dir():
        if (path / "particles.star").exists():
            return path / "particles.star"
        tables = [p for p in path.glob("*particles*.cs") if "passthrough" not in p.name]
        # Of several iterations the last one, which its number in the name makes the last by name.
        tables = [p for p in tables if _cs_averages(p)]
        return max(tables, key=lambda p: p.name) if tables else job_particles(path)
    for kind in ("model", "optimiser"):
        if path.name.endswith(f"_{kind}.star"):
            data = path.with_name(path.name.removesuffix(f"{kind}.star") + "data.star")
            if not data.exists():
                raise InputError(
                    path, None, f"no {data.name} beside it", "the particles of the job"
                )
            return data
    return path


def _references(particles: Path) -> list[Path]:
    found = _cs_averages(particles) if particles.suffix == ".cs" else []
    if found:
        if len(found) == 1:
            return found
    elif model := beside(particles, "model"):
        return [model]
    else:
        for path in ("class_averages.star", "class_averages.mrcs"):
            if (particles.parent / path).exists():
                return [particles.parent / path]
    maps = [] if found else list(takewhile(bool, (find_class_map(particles, k) for k in count(1))))
    if maps:
        return [path for path in maps if path]
    raise InputError(
        particles,
        None,
        "no class averages or maps that belong to it",
        "their file, or all maps, named after it",
    )


def _cs_averages(particles: Path) -> list[Path]:
    """Of the same job and iteration; else the only ones in the folder."""
    for kind in _CS_AVERAGES:
        same = particles.with_name(particles.name.replace("particles", kind))
        if same != particles and same.exists():
            return [same]
    folder = particles.parent
    return [path for kind in _CS_AVERAGES for path in sorted(folder.glob(f"*{kind}*.cs"))]
