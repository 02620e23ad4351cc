"""The consensus of a finished campaign, for other programs."""

import warnings
from pathlib import Path

from emjax.campaign.folder import CampaignFolder, ConsensusFolder
from emjax.errors import InputError
from emjax.io.export.classes import ExportedClass, find_class
from emjax.io.export.programs import FORMATS
from emjax.io.export.results import export_results
from emjax.io.particles.columns import has_ctf, set_aside
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.particles.poses import with_poses
from emjax.jobs.prepared import poses_of, read_unchecked


def consensus_classes(folder: ConsensusFolder) -> list[ExportedClass]:
    """The maps of the consensus with half-maps, FSC and resolution.

    Raises:
        InputError: when there is no map, or their numbers have a gap.
    """
    maps = folder.class_maps()
    numbers = range(1, len(maps) + 1)
    if not maps or maps != [folder.class_map(k) for k in numbers]:
        found = ", ".join(path.name for path in maps) or "no map"
        expected = f"{folder.class_map(1).name} and so on without a gap"
        raise InputError(folder.path, None, found, expected)
    return [
        find_class(
            folder.class_map(k),
            (folder.class_map(k, "half1"), folder.class_map(k, "half2")),
            folder.class_fsc(k),
        )
        for k in numbers
    ]


def export_consensus(
    folder: CampaignFolder,
    particles: ParticleSet,
    formats: tuple[str, ...] = FORMATS,
    refined: bool = False,
) -> list[Path]:
    """Write `export/` of a campaign from its `consensus/`.

    Args:
        folder: of the campaign.
        particles: the campaign's input, read with its images.
        formats: any of `FORMATS`.
        refined: whether particles that take part get the poses that the campaign worked with.

    Returns:
        The files written.

    Raises:
        InputError: when maps are missing or the consensus is one of other particles.
    """
    consensus = folder.consensus
    classes = consensus_classes(consensus)
    table = read_unchecked(consensus.particles.star)
    if refined:
        taking_part = set_aside(table.source) == "none"
        particles = with_poses(particles, *poses_of(table), taking_part)
    if "cryosparc" in formats and not has_ctf(particles.source):
        formats = tuple(name for name in formats if name != "cryosparc")
        warnings.warn(
            f"{particles.source.file}: no defocus, which CryoSPARC's files have; none are written",
            stacklevel=2,
        )
    return export_results(folder.export, consensus.particles.star, classes, particles, formats)
