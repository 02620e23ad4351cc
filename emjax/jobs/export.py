"""The consensus of a finished campaign, or one of its runs, for other programs."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emjax.campaign.folder import CampaignFolder, ConsensusFolder, RunFolder
from emjax.campaign.names import RunName
from emjax.errors import InputError
from emjax.imaging.grids import resample
from emjax.imaging.masks import resample_mask
from emjax.io.export.classes import ExportedClass, describe_class, link_map
from emjax.io.export.programs import FORMATS
from emjax.io.export.results import export_results
from emjax.io.files import read_tsv
from emjax.io.mrc.header import read_header
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.io.particles.columns import has_ctf, set_aside
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.particles.poses import with_poses
from emjax.jobs.prepared import poses_of, read_unchecked

DEFAULT = tuple(name for name in FORMATS if name != "zip")  # of a campaign: maps are there already


def consensus_classes(folder: ConsensusFolder) -> list[ExportedClass]:
    """The maps of the consensus with half-maps, FSC and resolution.

    Raises:
        InputError: when there is no map, or their numbers have a gap.
    """
    classes = []
    for k in range(1, numbered(folder.path, folder.class_maps(), folder.class_map) + 1):
        halves = folder.class_map(k, "half1"), folder.class_map(k, "half2")
        fsc = folder.class_fsc(k)
        table = read_tsv(fsc) if fsc.exists() else None
        classes.append(describe_class(folder.class_map(k), halves, table))
    return classes


def numbered(folder: Path, maps: list[Path], class_map: Callable[[int], Path]) -> int:
    """How many maps there are, from class 1 on.

    Raises:
        InputError: where there is none, or one is missing.
    """
    if not maps or maps != [class_map(k) for k in range(1, len(maps) + 1)]:
        found = ", ".join(path.name for path in maps) or "no map"
        expected = f"{class_map(1).name} and so on without a gap"
        raise InputError(folder, None, found, expected)
    return len(maps)


def run_classes(folder: RunFolder) -> list[ExportedClass]:
    """The maps of a run with half-maps, FSC and resolution.

    Raises:
        InputError: when there is no map, or their numbers have a gap.
    """
    classes = []
    tables = dict(list(read_tsv(folder.fsc).groupby("class"))) if folder.fsc.exists() else {}
    for k in range(1, numbered(folder.path, folder.class_maps(), folder.class_map) + 1):
        halves = folder.class_map(k, "half1"), folder.class_map(k, "half2")
        classes.append(describe_class(folder.class_map(k), halves, tables.get(k)))
    return classes


def export_consensus(
    folder: CampaignFolder,
    particles: ParticleSet,
    formats: tuple[str, ...] = DEFAULT,
    refined: bool = False,
    focus: str | None = None,
) -> list[Path]:
    """Write `export/` of a campaign from its `consensus/`.

    Args:
        folder: of the campaign.
        particles: the campaign's input, read with its images.
        formats: any of `FORMATS`.
        refined: whether particles that take part get the poses that the campaign worked with.
        focus: file of the focus mask, if any; None: as a run of the campaign had it.

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
    labels = consensus.particles.star
    grouped = superclasses_of(folder, len(classes)) if "superclasses" in formats else None
    formats = possible(formats, particles)
    written = export_results(folder.export, labels, classes, particles, formats, grouped)
    if "maps" in formats:
        written += export_masks(folder.export / "maps", folder, classes[0].map, focus)
    return written


def export_run(
    folder: CampaignFolder, run: RunName, particles: ParticleSet, formats: tuple[str, ...] = FORMATS
) -> list[Path]:
    """Write `runs/<run>/export/` from the classes of one run.

    Args:
        folder: of the campaign.
        run: its name.
        particles: the campaign's input, read with its images.
        formats: any of `FORMATS`.

    Raises:
        InputError: when there is no such run, it has no maps, or it is one of other particles.
    """
    own = folder.run(run)
    if not own.metrics.exists():
        known = [path.parent.name for path in sorted(folder.path.glob("runs/*/metrics.json"))]
        found = f"none of the {len(known)} runs"
        raise InputError(own.path, None, found, f"one of {', '.join(known) or 'a campaign'}")
    classes, formats = run_classes(own), possible(formats, particles)
    written = export_results(own.export, own.particles.star, classes, particles, formats)
    if "maps" in formats:
        written += export_masks(own.export / "maps", folder, classes[0].map, None)
    return written


def possible(formats: tuple[str, ...], particles: ParticleSet) -> tuple[str, ...]:
    """Without those that the particles lack something for, which is warned of."""
    if "cryosparc" not in formats or has_ctf(particles.source):
        return formats
    warnings.warn(
        f"{particles.source.file}: no defocus, which CryoSPARC's files have; none are written",
        stacklevel=2,
    )
    return tuple(name for name in formats if name != "cryosparc")


def superclasses_of(folder: CampaignFolder, n_classes: int) -> np.ndarray | None:
    """Superclass of each consensus class, from 1; None where there are none."""
    path = folder.rebalance.superclasses
    if not path.exists():
        return None
    table = read_tsv(path)
    if len(table) != n_classes:
        expected = f"the {n_classes} of consensus/; run the campaign again"
        raise InputError(path, "class", f"{len(table)} classes", expected)
    found = np.zeros(n_classes, np.int64)
    found[table["class"].to_numpy() - 1] = table["superclass"].to_numpy()
    return found


def export_masks(target: Path, folder: CampaignFolder, like: Path, focus: str | None) -> list[Path]:
    """The filtered mean map and the masks of a campaign on the box of its exported maps.

    Args:
        target: folder to write to.
        folder: of the campaign.
        like: a map of that box.
        focus: file of the focus mask; None: as a run of the campaign had it, where one did.
    """
    header = read_header(like)
    box_size, voxel_size = header.shape[-1], header.voxel_size or 1.0
    applied = sorted(folder.path.glob("runs/*/focus_mask.mrc"))
    focus_mask = Path(focus) if focus else next(iter(applied), None)
    sources = {
        "mean_map": folder.prepare.mean_map,
        "solvent_mask": folder.prepare.solvent_mask,
        "focus_mask": focus_mask,
    }
    written = []
    for name, source in sources.items():
        if source is None:
            continue
        written.append(target / f"{name}.mrc")
        # The user's mask may be changed in place, and its header hold another voxel size.
        if name != "focus_mask" and read_header(source).shape[-1] == box_size:
            link_map(source, written[-1])
            continue
        to_box = resample if name == "mean_map" else resample_mask
        write_volume(written[-1], to_box(read_volume(source)[0], box_size), voxel_size)
    return written


def space(written: list[Path]) -> str:
    """How many files, and what they take on disk; maps that are linked take nothing."""
    own = [path.stat() for path in written]
    alone = sum(found.st_size for found in own if found.st_nlink == 1)
    linked = [found.st_size for found in own if found.st_nlink > 1]
    more = f"; {len(linked)} maps of {sum(linked) / 1e6:.1f} MB are links" if linked else ""
    return f"{len(written)} files of {alone / 1e6:.1f} MB{more}"
