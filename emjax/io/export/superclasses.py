"""Superclasses handed to other programs: of each its particles and its map."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.io.cryosparc.tables import CsParticles
from emjax.io.export.classes import ExportedClass, link_map
from emjax.io.export.cryosparc import write_group
from emjax.io.fields import label
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.columns import merged_records, with_cs_columns, with_star_columns
from emjax.io.particles.particle_set import ParticleSet, relion_source
from emjax.io.star.tables import write_star


def export_superclasses(
    folder: Path,
    particles: ParticleSet,
    columns: dict[str, np.ndarray],
    classes: list[ExportedClass],
    superclasses: np.ndarray,
) -> list[Path]:
    """Write `superclass_001.star`, `.cs` of a CryoSPARC input, and `.mrc` of each superclass.

    The map is the average of those of its classes, weighted by their particles; of a single class
    it is that class's.

    Args:
        folder: to write to.
        particles: the campaign's input.
        columns: STAR label to one value per particle; `rlnClassNumber` is needed.
        classes: files of class 1, 2, ….
        superclasses: number of the superclass of each class, from 1; 0 for classes of none.

    Returns:
        The files written.
    """
    number = np.asarray(columns[label("class_number")])
    of_class = np.concatenate([[0], superclasses]).astype(np.int64)
    mine = of_class[number]
    columns = columns | {"emjaxSuperclass": mine}
    star = with_star_columns(relion_source(particles), columns)
    records, source = None, particles.source
    if isinstance(source, CsParticles):
        records = with_cs_columns(CsParticles(source.file, merged_records(source)), columns)
    written: list[Path] = []
    for one in sorted(set(superclasses.tolist()) - {0}):
        stem, rows = folder / f"superclass_{one:03d}", np.flatnonzero(mine == one)
        if len(rows):
            written.append(stem.with_suffix(".star"))
            write_star(written[-1], star.select(rows).star)
            if records is not None:
                written += write_group(folder, stem.name, records[rows])
        members = np.flatnonzero(superclasses == one)
        sizes = np.array([(number == k + 1).sum() for k in members])
        maps = [classes[k].map for k in members]
        written.append(_write_average(stem.with_suffix(".mrc"), maps, sizes))
    return written


def _write_average(path: Path, maps: list[Path], sizes: np.ndarray) -> Path:
    if len(maps) == 1:
        return link_map(maps[0], path)
    weights = sizes / sizes.sum() if sizes.sum() else np.full(len(maps), 1 / len(maps))
    average, voxel_size = read_volume(maps[0])
    average *= np.float32(weights[0])
    for source, weight in zip(maps[1:], weights[1:], strict=True):
        average += np.float32(weight) * read_volume(source, len(average))[0]
    write_volume(path, average, voxel_size)
    return path
