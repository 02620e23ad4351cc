"""Maps of the classes in pictures: differences on one scale, what is missing, scale bars."""

import base64
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_tsv, write_tsv
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.report.campaign import Campaign
from emjax.report.class_maps import ClassMaps
from tests.report.campaigns import make_campaign, read, render
from tests.report.consensus_files import blob

VOXEL = 6.0


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of nearly equal size: the second lacks a ball of radius 0.1 of the box."""
    folder = make_campaign(
        tmp_path_factory.mktemp("maps") / "c", n_states=2, n_particles=300, class_numbers=(2,)
    )
    rng = np.random.default_rng(0)
    body, part = blob(32, (0, 0, -0.1), 0.2), blob(32, (0, 0, 0.3), 0.1)
    consensus = CampaignFolder(folder).consensus
    for c, volume in ((1, body + part), (2, body)):
        halves = [volume + 0.01 * rng.normal(size=body.shape) for _ in range(2)]
        for name, values in (
            ("", np.mean(halves, axis=0)),
            ("half1", halves[0]),
            ("half2", halves[1]),
        ):
            write_volume(consensus.class_map(c, name), values.astype("f4"), VOXEL)
        fsc = read_tsv(consensus.class_fsc(c)).assign(fsc=1.0)
        write_tsv(consensus.class_fsc(c), fsc)
    table = read_tsv(consensus.stability).assign(size=[150, 150])
    write_tsv(consensus.stability, table)
    return folder


def pixels(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.split(",")[1])
    width, height = (int.from_bytes(data[i : i + 4]) for i in (16, 20))
    rows = zlib.decompress(data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8])
    return np.frombuffer(rows, np.uint8).reshape(height, -1)[:, 1:].reshape(height, width, -1)


def test_the_strongest_difference_has_its_sign_and_volume(missing: Path):
    shown = ClassMaps(read(missing)).shown()
    more, less = (shown.classes[c].change for c in (1, 2))
    assert more and less and more.value > 0 > less.value
    # The ball's own ellipsoid, from whose axes `blob` scales y and x.
    volume = 4 / 3 * np.pi * (3.2 * VOXEL) ** 3 / np.sqrt(1.4 * 0.7)
    # The ball's soft edge falls to half of the peak a little further out.
    assert volume < more.size < 1.6 * volume
    assert more.size == pytest.approx(less.size, rel=0.05)
    assert more.noise > 20 and more.above_noise
    assert more.share == pytest.approx(0.5, abs=0.1)


def test_a_difference_within_the_noise_is_none_and_sets_no_scale(tmp_path: Path):
    folder = make_campaign(tmp_path / "c", n_states=3, n_particles=300, class_numbers=(3,))
    clear = ClassMaps(read(folder)).shown()
    consensus = CampaignFolder(folder).consensus
    # A class of few particles, whose half-maps share nothing.
    table = read_tsv(consensus.stability).assign(size=[200, 200, 1])
    write_tsv(consensus.stability, table)
    rng = np.random.default_rng(0)
    halves = [read_volume(consensus.class_map(3))[0] + rng.normal(size=(32,) * 3) for _ in range(2)]
    for name, values in (("", np.mean(halves, axis=0)), ("half1", halves[0]), ("half2", halves[1])):
        write_volume(consensus.class_map(3, name), values.astype("f4"), VOXEL)
    noisy = ClassMaps(read(folder)).shown()
    change = noisy.classes[3].change
    assert change and not change.above_noise
    others = [p.change for c, p in noisy.classes.items() if c != 3]
    assert all(change and change.above_noise for change in others)
    strongest = max(change.share for change in others if change)
    assert noisy.scale == f"{50 * strongest:.0f}\N{NO-BREAK SPACE}%" != clear.scale


def test_all_differences_of_a_page_have_one_scale(missing: Path):
    folder = CampaignFolder(missing)
    shown = ClassMaps(Campaign(folder, {})).shown()
    strongest = max(p.change.share for p in shown.classes.values() if p.change)
    assert shown.scale == f"{50 * strongest:.0f}\N{NO-BREAK SPACE}%"
    page = render(missing)
    assert f"−{shown.scale}" in page and f"from {shown.part} on" in page


def test_missing_density_is_blue_beside_the_surface_and_added_density_orange(missing: Path):
    shown = ClassMaps(read(missing)).shown()
    more, less = (pixels(shown.classes[c].surfaces[0].image).astype(int) for c in (1, 2))
    seen = less[..., 3] > 0
    blue = seen & (less[..., 2] > less[..., 0] + 60)
    orange = (more[..., 3] > 0) & (more[..., 0] > more[..., 2] + 60)
    half = less.shape[1] // 2
    assert blue.sum() > 100 and not blue[:, :half].any()
    assert (less[..., 3][blue] < 255).mean() > 0.8  # one sees through what is not there
    assert orange.sum() > 100 and not orange[:, :half].any()
    behind = pixels(shown.classes[2].surfaces[1].image).astype(int)
    assert ((behind[..., 2] > behind[..., 0] + 60) & (behind[..., 3] > 0))[:, :half].sum() > 100


def test_surfaces_fill_their_pictures_and_bars_know_it(campaign: Path):
    surface = ClassMaps(read(campaign)).shown().classes[1].surfaces[0]
    there = np.argwhere(pixels(surface.image)[..., 3] > 0)
    assert 0.33 * 128 < np.abs(there - 63.5).max() < 0.5 * 128
    found = re.search(r"width:([\d.]+)%\">(\d+) Å", surface.over)
    assert found
    width = 100 * float(found[2]) / float(found[1])
    assert 0.5 * 192 < width < 0.95 * 192  # of the whole box of 32 voxels of 6 Å


def test_one_map_alone_has_no_differences(null_campaign: Path):
    shown = ClassMaps(read(null_campaign)).shown()
    assert shown.classes and not shown.compared
    assert all(not p.differences and p.change is None for p in shown.classes.values())


def test_a_focus_mask_is_outlined_where_it_is_used(missing: Path):
    folder = CampaignFolder(missing)
    volume = read_volume(folder.consensus.class_map(1))[0]
    run = folder.run(read(missing).run_names()[0])
    write_volume(run.focus_mask, blob(len(volume), (0, 0, 0.3), 0.15).astype("f4"), VOXEL)
    try:
        used = Campaign(folder, {"masks": {"focus": "f.mrc"}})
        shown = ClassMaps(used).shown()
        assert list(shown.masks) == ["focus"]
        # Its centre lies 0.3 of the box (58 Å) along x; the box ends at 96 Å.
        assert {p.slices[2].name for p in shown.classes.values()} == {"along x, +54 Å"}
        assert "Slices through the middle of the focus mask" in render(
            missing, masks={"focus": "f.mrc"}
        )
        assert list(ClassMaps(Campaign(folder, {})).shown().masks) == []
    finally:
        run.focus_mask.unlink()
