"""What is doubtful about a focus mask, by its own file and beside the particles' mean map."""

from collections.abc import Iterator

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.folder import PrepareFolder
from emjax.errors import InputError
from emjax.imaging.masks import resample_mask, share_inside
from emjax.io.mrc.volume import read_volume
from emjax.io.particles.plausible import check_mask, doubts_of_mask, doubts_of_voxels

# Of a focus mask inside the solvent mask; outside it no class can differ.
LEAST_INSIDE, HARDLY_INSIDE = 0.5, 0.1
# Of the mean map's density: such a focus leaves out next to nothing.
NEARLY_ALL = 0.9


def doubts_of_focus_file(path: str, facts: PreparedFacts) -> Iterator[str]:
    """A focus mask that the box cuts off, that masks nothing, or of another voxel size.

    Args:
        path: its file.
        facts: of the particles.

    Raises:
        InputError: where it is no mask, or has another box.
    """
    mask, voxel_size = read_volume(path, facts.box_size)
    check_mask(path, mask)
    yield from doubts_of_mask(path, mask)
    yield from doubts_of_voxels(path, voxel_size, facts.pixel_size)


def doubts_of_focus(path: str, folder: PrepareFolder) -> Iterator[str]:
    """What is doubtful about a focus mask once there is a mean map.

    Args:
        path: its file.
        folder: of the preparation.

    Raises:
        InputError: as `doubts_of_focus_file`, and where nearly all of it lies in the solvent.
    """
    yield from doubts_of_focus_file(path, PreparedFacts.read(folder.facts))
    (mean, voxel_size), (solvent, _) = (
        read_volume(folder.mean_map),
        read_volume(folder.solvent_mask),
    )
    focus = resample_mask(read_volume(path)[0], len(solvent))
    # A mask of all but a region, or of a half of space, is larger than the particle.
    smaller = max(min(focus.sum(), solvent.sum()), 1e-12)
    inside = float((focus * solvent).sum() / smaller)
    if inside < HARDLY_INSIDE:
        found = f"{path}, which overlaps the solvent mask by {inside:.0%} of the smaller of the two"
        expected = "a mask of a part of the particle, on the particles' grid"
        raise InputError("config", "masks.focus", found, expected)
    held = share_inside(focus, mean, voxel_size)
    if held > NEARLY_ALL:
        yield (
            f"{path}: holds {held:.0%} of the mean map's density, so that it hardly focuses; it may"
            " be inverted (give 1 − mask)"
        )
    elif inside < LEAST_INSIDE:
        yield (
            f"{path}: overlaps the solvent mask by only {inside:.0%} of the smaller of the two, and"
            " has no effect elsewhere; it may be of another voxel size or centre"
        )
