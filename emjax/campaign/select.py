"""Particles of chosen classes, as sure as one wants them, for the next job."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emjax.campaign.folder import CampaignFolder
from emjax.errors import InputError
from emjax.io.fields import cs_column, label
from emjax.io.labels.read import read_labels
from emjax.io.particles.particle_set import ParticleSet, read_particles, write_particles
from emjax.io.star.relion import StarParticles

CLASS, STABILITY, GROUP = "rlnClassNumber", "emjaxStability", label("intersection")
# That of the consensus class, else that of a run's class.
POSTERIORS = ("emjaxClassPosterior", "rlnMaxValueProbDistribution")
# What a CryoSPARC file calls them.
_FIELDS = {
    STABILITY: "emjax/stability",
    POSTERIORS[0]: "emjax/class_posterior",
    POSTERIORS[1]: "alignments3D/class_posterior",
    GROUP: cs_column("intersection").name,
}


@dataclass(frozen=True)
class Wanted:
    """Which particles; what is empty or None is not asked for."""

    classes: tuple[int, ...] = ()
    """Numbers from 1; 0 is unassigned."""
    min_stability: float | None = None
    min_posterior: float | None = None
    groups: tuple[int, ...] = ()
    """Ids in a consensus's `intersections.tsv`: particles that all runs keep together."""


def select_particles(source: Path, wanted: Wanted, image_root: str | None = None) -> ParticleSet:
    """The particles of a file that are wanted, in their order, with all columns.

    Args:
        source: particle file of a consensus or of a run, or of another program.
        wanted: which.
        image_root: where relative image paths start.

    Raises:
        InputError: where a column, class or group is missing, or no particle is left.
    """
    particles = read_particles(source, image_root, check_images=False, require_poses=False)
    keep = np.ones(particles.n, bool)
    if wanted.classes:
        keep &= _in_classes(source, wanted.classes)
    if wanted.min_stability is not None:
        keep &= _column(particles, STABILITY) >= wanted.min_stability
    if wanted.min_posterior is not None:
        keep &= _column(particles, *POSTERIORS) >= wanted.min_posterior
    if wanted.groups:
        keep &= _in_groups(particles, wanted.groups)
    if not keep.any():
        raise InputError(source, None, f"none of {particles.n} such particles", "at least one")
    return particles.select(keep)


def consensus_file(campaign: CampaignFolder, suffix: str) -> Path:
    """The consensus particles of a campaign, in the format asked for where there are some.

    Raises:
        InputError: where the campaign has no consensus yet.
    """
    for path in campaign.consensus.particles.all((suffix, ".star")):
        if path.exists():
            return path
    expected = "a campaign whose consensus is finished (emjax run)"
    raise InputError(campaign.path, None, "no consensus", expected)


def write_selection(path: Path, particles: ParticleSet) -> None:
    """Write STAR or, by the ending, `.cs`; classes and stabilities are kept in both.

    RELION ignores the columns that it does not know (`emjaxStability` …).

    Raises:
        InputError: where the file is the source itself.
    """
    source = particles.source
    if path.absolute() == Path(source.file).absolute():
        raise InputError(path, "-o", "the file that is read", "another one")
    columns = {}
    if isinstance(source, StarParticles) and path.suffix == ".cs":
        for name in (STABILITY, *POSTERIORS):
            if name in source.particles:
                columns[name] = source.particles.numbers(name)
        for name in (CLASS, GROUP):
            if name in source.particles:
                columns[name] = source.particles.integers(name)
    write_particles(path, particles, columns)


def _in_classes(source: Path, classes: tuple[int, ...]) -> np.ndarray:
    """Whether each particle is in one of the classes."""
    numbers = read_labels(source)[1] + 1
    for number in classes:
        if not (numbers == number).any():
            there = ", ".join(map(str, np.unique(numbers).tolist()))
            raise InputError(source, "--classes", number, f"some of {there}")
    return np.isin(numbers, classes)


def _in_groups(particles: ParticleSet, groups: tuple[int, ...]) -> np.ndarray:
    """Whether all runs keep each particle in one of the groups."""
    ids = _column(particles, GROUP)
    for group in groups:
        if group < 1 or not (ids == group).any():
            expected = f"an id of 1 to {ids.max():.0f}, as in intersections.tsv"
            raise InputError(particles.source.file, "--group", group, expected)
    return np.isin(ids, groups)


def _column(particles: ParticleSet, *names: str) -> np.ndarray:
    """The first of the columns that is there."""
    source = particles.source
    for name in names:
        if isinstance(source, StarParticles):
            if name in source.particles:
                return source.particles.numbers(name)
        elif _FIELDS[name] in source:
            return source.numbers(_FIELDS[name])
    raise InputError(source.file, None, f"no column {names[0]}", "a file of a campaign's consensus")
