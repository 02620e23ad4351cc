"""Particles as a label file lists them: perhaps without images, poses, CTF or pixel size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.io.cryosparc.job import read_cs_particles
from emjax.io.cryosparc.tables import CsParticles, has_slot, write_cs
from emjax.io.fields import IMAGE_NAME, UID
from emjax.io.labels.read import PARTICLE, read_labels
from emjax.io.particles.columns import (
    has_ctf,
    has_poses,
    make_records,
    with_cs_columns,
    with_star_columns,
)
from emjax.io.particles.particle_set import (
    ParticleSet,
    assemble,
    cryosparc_source,
    read_particles,
    relion_source,
)
from emjax.io.star.fields import has_pixel_size, relion_fields
from emjax.io.star.relion import StarParticles, job_particles, read_star_particles
from emjax.io.star.tables import StarFile, make_table, read_star, write_star


def listed_particles(
    path: str | Path, key: str | None = None, class_column: str | None = None
) -> ParticleSet:
    """The particles of a label file in its order, with what else the file says of them.

    What it does not say is neutral: poses 0, a CTF of 1, a pixel size of 1 Å.

    Args:
        path: as for `read_labels`.
        key: as for `read_labels`.
        class_column: as for `read_labels`.

    Raises:
        InputError: when it cannot be read.
    """
    path = Path(path)
    path = job_particles(path) if path.is_dir() else path
    if path.suffix in (".cs", ".csg"):
        source = read_cs_particles(path)
        if has_slot(source, "blob"):
            return _unchecked(path)
        uids = CsParticles(source.file, make_records({"uid": source["uid"]}))
        return _keyed(uids, source["uid"].astype(str))
    if path.suffix not in (".csv", ".tsv", ".txt", ".npz"):
        star = read_star(path)
        if sum(IMAGE_NAME in table for table in star.tables) == 1:
            found = read_star_particles(path)
            return _unchecked(path) if has_pixel_size(found) else _without_optics(found)
    keys = read_labels(path, key, class_column)[0]
    names = {IMAGE_NAME if _are_images(keys) else PARTICLE: keys}
    table = StarParticles(StarFile((make_table("particles", names),)), "particles", None)
    return _without_optics(table) if IMAGE_NAME in names else _keyed(table, keys)


def _unchecked(path: Path) -> ParticleSet:
    return read_particles(path, check_images=False, require_poses=False, require_ctf=False)


def _are_images(keys: np.ndarray) -> bool:
    numbers = np.char.partition(keys, "@")
    return bool((np.char.isdigit(numbers[:, 0]) & (numbers[:, 2] != "")).all())


def _without_optics(source: StarParticles) -> ParticleSet:
    """Particles of image names, in a group of optics that says nothing."""
    group = make_table("optics", {"rlnOpticsGroup": [1], "rlnImagePixelSize": [1.0]})
    table = source.particles.with_columns({"rlnOpticsGroup": np.ones(len(source.particles), int)})
    shadow = StarParticles(StarFile((group, table)), table.name, "optics")
    return _assembled(source, relion_fields(shadow, require_poses=False, require_ctf=False))


def _keyed(source: StarParticles | CsParticles, keys: np.ndarray) -> ParticleSet:
    """Particles of which only a key is known."""
    group = make_table("optics", {"rlnOpticsGroup": [1], "rlnImagePixelSize": [1.0]})
    names = [f"{i:06d}@?" for i in range(1, len(keys) + 1)]
    columns = {IMAGE_NAME: names, UID: keys, "rlnOpticsGroup": np.ones(len(keys), int)}
    shadow = StarParticles(
        StarFile((group, make_table("particles", columns))), "particles", "optics"
    )
    return _assembled(source, relion_fields(shadow, require_poses=False, require_ctf=False))


def _assembled(source: StarParticles | CsParticles, fields: dict[str, np.ndarray]) -> ParticleSet:
    names, stack_of = np.unique(fields.pop("image_path"), return_inverse=True)
    stacks = tuple(Path(name) for name in names.tolist())
    return assemble(source, fields, stacks, names, stack_of, 0, 1.0)


def suffixes_of(particles: ParticleSet) -> tuple[str, ...]:
    """Of the files that can be written of listed particles.

    CryoSPARC's have box, poses and CTF, unless they came from one of its own.
    """
    source = particles.source
    whole = has_poses(source) and has_ctf(source) and particles.box_size > 0
    return (".star", ".cs") if whole or isinstance(source, CsParticles) else (".star",)


def write_listed(path: Path, particles: ParticleSet, columns: dict[str, np.ndarray]) -> None:
    """Write listed particles with more columns, as `write_particles` does.

    A `.cs` that has uids alone becomes a STAR file of uids.

    Args:
        path: STAR, or `.cs` where `suffixes_of` has it.
        particles: as listed.
        columns: STAR label to one value per particle.
    """
    if path.suffix == ".cs":
        write_cs(path, with_cs_columns(cryosparc_source(particles), columns))
        return
    if isinstance(particles.source, CsParticles) and not has_slot(particles.source, "blob"):
        uids = make_table("particles", {UID: particles.source["uid"]})
        source = StarParticles(StarFile((uids,)), "particles", None)
    else:
        source = relion_source(particles)
    write_star(path, with_star_columns(source, columns).star)
