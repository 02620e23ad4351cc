"""The images of a stand-alone map as its preparation leaves them."""

from collections.abc import Iterator

import numpy as np

from emjax.campaign.folder import PrepareFolder
from emjax.imaging.bad_images import say_bad_images
from emjax.imaging.prepare_images import PreparedImages
from emjax.io.fields import SET_ASIDE
from emjax.io.files import write_tsv
from emjax.io.particles.columns import has_poses
from emjax.io.particles.particle_set import ParticleSet, write_particles
from emjax.jobs.optics import describe_optics
from emjax.jobs.preparation import bad_images_table, noise_table


def write_images(
    folder: PrepareFolder, found: PreparedImages, table: ParticleSet, suffixes: tuple[str, ...]
) -> None:
    """Write noise, bad images and, last, the particles; the images are there already."""
    groups, extent = np.unique(table.optics_group), found.particles.extent
    write_tsv(folder.noise, noise_table(found.noise_power, groups, extent))
    write_tsv(folder.bad_images, bad_images_table(found.bad_images, table.image_name))
    reason = np.full(table.n, "none", "U5")
    reason[found.bad_images.rows] = "image"
    for path in folder.particles.all(suffixes):
        write_particles(path, table, {SET_ASIDE: reason})


def describe_images(
    folder: PrepareFolder, found: PreparedImages, table: ParticleSet, aligned: bool
) -> Iterator[str]:
    """How the images are aligned, and what became of them."""
    if bad := found.bad_images:
        said = say_bad_images(bad, table.image_name)
        yield f"{len(bad)} of {table.n} images left out: {said}; listed in {folder.bad_images}"
    yield from describe_optics(table, found.particles.extent / found.particles.radius)
    yield f"{table.n} images, {alignment(table, aligned)}"


def alignment(table: ParticleSet, aligned: bool) -> str:
    """Where the alignment of the images comes from, in words."""
    if aligned:
        return "aligned as they lie in their stacks"
    if has_poses(table.source):
        return "rotated by psi of their 3D poses, and centred by their shifts"
    return "rotated and centred by their 2D alignment"
