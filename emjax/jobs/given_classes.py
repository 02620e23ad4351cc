"""Classes that were made before: read with their averages or maps, compared, passed on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emjax.campaign.folder import RebalanceFolder
from emjax.campaign.job import not_there
from emjax.errors import InputError
from emjax.imaging.masks import resample_mask, sphere
from emjax.io.labels.classes import find_classes
from emjax.io.labels.read import read_labels
from emjax.io.mrc.references import (
    References,
    check_same_job,
    read_references,
    write_averages,
    write_templates,
)
from emjax.io.mrc.volume import read_volume, write_stack, write_volume
from emjax.io.particles.particle_set import ParticleSet, read_particles, write_particles
from emjax.rebalance.affinity import (
    blank,
    image_affinity,
    shrink_volume,
    volume_affinity,
)
from emjax.rebalance.align import Move, align_volumes
from emjax.rebalance.averages import superclass_averages
from emjax.rebalance.circle import shrink_images
from emjax.rebalance.rebalancing import Rebalancing

VOLUME_BOX = 96  # voxels at which maps are compared; larger ones would not fit into memory
THUMBNAIL = 64  # pixels


@dataclass(frozen=True)
class Given:
    """Classes as they were given.

    Attributes:
        table: particles; neither poses nor CTF are needed.
        labels: class of each, 0-based, -1 = unassigned.
        references: averages, or maps at VOLUME_BOX voxels at most.
        moves: of maps that were aligned.
    """

    table: ParticleSet
    labels: np.ndarray
    references: References
    moves: tuple[Move, ...] = ()

    @property
    def in_3d(self) -> bool:
        """Whether they are maps."""
        return self.references.densities.ndim == 4

    @property
    def sizes(self) -> np.ndarray:
        """Particles of each class."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.references))


def read_given(config: dict[str, Any]) -> Given:
    """Read the classes that a configuration names.

    Raises:
        InputError: where particles and averages are missing, or are not of one job.
    """
    source, named = Path(config["particles"]), config["rebalance"]["references"]
    if not source.exists():
        raise InputError("config", "particles", not_there(source), "particles with classes")
    paths = [Path(path) for path in ([named] if isinstance(named, str) else named or [])]
    if not paths:
        source, paths = find_classes(source)
    table = read_particles(source, check_images=False, require_poses=False, require_ctf=False)
    labels = read_labels(source)[1]
    shrink = partial(shrink_volume, box_size=VOLUME_BOX)
    references = read_references(paths, config["image_root"], shrink)
    check_same_job(references, labels, paths[0], source)
    return Given(table, labels, references)


def check_given(config: dict[str, Any]) -> str:
    """What was found, in a sentence; reads everything, computes nothing.

    Raises:
        InputError: as `read_given`.
    """
    given = read_given(config)
    kind = "maps" if given.in_3d else "averages"
    empty = int((given.sizes == 0).sum())
    found = f"{given.table.n} particles in {len(given.references)} classes with {kind}"
    return f"{found}, {empty} of them without particles" if empty else found


def compare_given(
    given: Given, config: dict[str, Any], progress: Callable[[int, int, str], None]
) -> tuple[Given, np.ndarray, np.ndarray]:
    """The classes, aligned where asked for; their affinity; and which of them are blank."""
    densities = given.references.densities
    nothing = blank(densities)
    if not given.in_3d:
        mirror = config["rebalance"]["mirror"]
        return given, image_affinity(shrink_images(densities), mirror=mirror), nothing
    if config["rebalance"]["align"]:
        given = _aligned(given, nothing, progress)
    volumes, solvent = given.references.densities, config["masks"]["solvent"]
    box_size = volumes.shape[-1]
    mask = sphere(box_size) if solvent == "auto" else _own_mask(solvent, given, box_size)
    return given, volume_affinity(volumes, np.asarray(mask, np.float32)), nothing


def _aligned(given: Given, nothing: np.ndarray, progress: Callable[[int, int, str], None]) -> Given:
    sizes = np.where(nothing, -1, given.sizes)
    moves = align_volumes(given.references.densities, int(sizes.argmax()), progress)
    densities = given.references.densities
    moved = np.stack([m.apply(v) for m, v in zip(moves, densities, strict=True)])
    moved[nothing] = densities[nothing]
    references = replace(given.references, densities=moved.astype(np.float32))
    return replace(given, references=references, moves=moves)


def _own_mask(path: str, given: Given, box_size: int) -> np.ndarray:
    full = read_volume(next(file for file in given.references.files if file.name))[0].shape[0]
    return resample_mask(read_volume(path, full)[0], box_size)


def write_given(
    folder: RebalanceFolder,
    suffixes: tuple[str, ...],
    given: Given,
    found: Rebalancing,
    mirror: bool,
) -> None:
    """Pictures of the classes, templates, and each superclass's particles and average or map."""
    densities, of_class = given.references.densities, found.superclasses.labels
    write_stack(folder.thumbnails, _pictures(densities), given.references.pixel_size)
    folder.templates.mkdir(parents=True, exist_ok=True)
    folder.superclass_files.mkdir(parents=True, exist_ok=True)
    write_templates(folder.templates, given.references, of_class)
    n = found.superclasses.n_superclasses
    for superclass in range(n):
        taken = found.kept & (found.superclass == superclass)
        for path in folder.superclass_particles(superclass + 1).all(suffixes):
            columns = {"emjaxSuperclass": found.superclass[taken] + 1}
            write_particles(path, given.table.select(taken), columns)
        if given.in_3d:
            volume, voxel_size = _mean_map(given, np.flatnonzero(of_class == superclass))
            write_volume(folder.superclass_map(superclass + 1), volume, voxel_size)
    if not given.in_3d:
        images = superclass_averages(densities, of_class, found.sizes, mirror=mirror)
        sizes = np.bincount(of_class[of_class >= 0], found.sizes[of_class >= 0], n)
        shares = {"rlnClassDistribution": sizes / max(sizes.sum(), 1)}
        write_averages(folder.averages, images, given.references.pixel_size, shares)


def _pictures(densities: np.ndarray) -> np.ndarray:
    """Averages, or slices through the middle of maps, at a thumbnail's size."""
    images = densities[:, densities.shape[-1] // 2] if densities.ndim == 4 else densities
    return shrink_images(images, THUMBNAIL)


def _mean_map(given: Given, classes: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean of the maps of classes at full box, weighted by their particles."""
    weights = given.sizes[classes].astype(float)
    weights = weights if weights.sum() > 0 else np.ones(len(classes))
    total, voxel_size = np.float32(0), 1.0
    for k, weight in zip(classes, weights / weights.sum(), strict=True):
        volume, voxel_size = read_volume(given.references.files[k])
        total = total + weight * (given.moves[k].apply(volume) if given.moves else volume)
    return np.asarray(total, np.float32), voxel_size
