"""What deceives of a focus mask is said before anything is classified."""

from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.facts import PreparedFacts
from emjax.campaign.folder import PrepareFolder
from emjax.errors import InputError
from emjax.io.mrc.volume import write_volume
from emjax.jobs.focus import doubts_of_focus

BOX, CROPPED, EXTENT = 32, 24, 96.0


def ball(box: int, radius: float, x: float = 0) -> np.ndarray:
    """Radius and place in Å."""
    axis = (np.arange(box) - box // 2) * EXTENT / box
    z, y, along = np.meshgrid(axis, axis, axis, indexing="ij")
    return (z**2 + y**2 + (along - x) ** 2 < radius**2).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrepareFolder:
    """A round particle of 24 Å, its solvent mask 6 Å wider; masks are written beside it."""
    monkeypatch.chdir(tmp_path)
    folder = PrepareFolder(tmp_path)
    size = CROPPED, EXTENT / CROPPED
    numbers = PreparedFacts(9, BOX, EXTENT / BOX, 8.0, 11, *size, 0, 1, "p.star", "0f", "0")
    numbers.write(folder.facts)
    write_volume(folder.mean_map, ball(CROPPED, 24), size[1])
    write_volume(folder.solvent_mask, ball(CROPPED, 30), size[1])
    return folder


CASES = [
    (ball(BOX, 12, x=10), 3.0, None),
    (ball(BOX, 14, x=24), 3.0, None),  # a ligand's place may lie half in the solvent
    (1 - ball(BOX, 10), 3.0, "of the box's faces are inside the mask: the mask is inverted"),
    (ball(BOX, 40) - ball(BOX, 9), 3.0, "of the mean map's density, so that it hardly focuses"),
    (ball(BOX, 12), 1.0, "voxels of 1 Å by its header, as programs write that do not know it"),
    (ball(BOX, 14, x=33), 3.0, "of the smaller of the two, and has no effect elsewhere"),
    (np.ones((BOX,) * 3), 3.0, "above 0.5 in the whole box; it masks nothing"),
]


@pytest.mark.parametrize(("mask", "voxel_size", "said"), CASES)
def test_doubts(folder: PrepareFolder, mask: np.ndarray, voxel_size: float, said: str | None):
    write_volume("focus.mrc", mask, voxel_size)
    doubts = list(doubts_of_focus("focus.mrc", folder))
    assert bool(doubts) == bool(said)
    assert all(doubt.startswith("focus.mrc: ") for doubt in doubts)
    assert (said or "") in doubts[0] if doubts else True


def test_a_mask_larger_than_the_particle_is_a_doubt_only(folder: PrepareFolder):
    """Half of space, or all but a region, may be meant."""
    half = np.ones((BOX,) * 3, np.float32)
    half[..., : BOX // 2] = 0
    for mask in (half, 1 - ball(BOX, 9)):
        write_volume("focus.mrc", mask, 3.0)
        list(doubts_of_focus("focus.mrc", folder))


WRONG = [
    (
        ball(BOX, 9, x=39),
        "masks.focus: found focus.mrc, which overlaps the solvent mask by 5% of the smaller",
    ),
    (ball(BOX // 2, 12), "a box of 16 voxels, expected a box of 32"),
    (0.3 * ball(BOX, 12), "no voxel above 0.5"),
]


@pytest.mark.parametrize(("mask", "said"), WRONG)
def test_a_mask_that_cannot_be_meant_is_refused(folder: PrepareFolder, mask, said: str):
    write_volume("focus.mrc", mask, 3.0)
    with pytest.raises(InputError) as error:
        list(doubts_of_focus("focus.mrc", folder))
    assert said in str(error.value) and "\n" not in str(error.value)
