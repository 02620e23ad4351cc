"""Scale bars and outlines that are drawn over pictures of maps."""

import re

import numpy as np
import pytest

from emjax.report.overlay import Overlays, bar_length, outline, scale_bar
from tests.report.consensus_files import blob


@pytest.mark.parametrize(
    ("width", "length"), [(288.0, 50.0), (66.0, 10.0), (67.0, 20.0), (1000.0, 200.0)]
)
def test_bars_have_round_lengths(width: float, length: float):
    assert bar_length(width) == length
    share = re.search(r"width:([\d.]+)%", scale_bar(width))
    assert share and float(share[1]) == pytest.approx(100 * length / width, abs=0.01)


def points(path: str) -> np.ndarray:
    return np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path), float)


def test_the_outline_of_a_disc_is_its_circle():
    y, x = np.indices((40, 40)) + 0.5
    disc = np.clip(12.5 - np.hypot(y - 20, x - 18), 0, 1)  # 0.5 at a radius of 12
    found = points(outline(disc))
    away = np.hypot(found[:, 1] - 20, found[:, 0] - 18)
    assert np.allclose(away, 12, atol=0.12)  # linear between pixels, one decimal
    around = np.unique(np.arctan2(*(found - [18, 20]).T).round(1))
    assert len(around) > 60  # closed: every direction is there


def test_diagonal_pixels_do_not_join_into_a_cross():
    found = outline(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert found.count("M") == 2


def test_masks_of_everything_have_no_outline():
    box = np.ones((16, 16, 16))
    ball = blob(16, (0, 0, 0), 0.3)
    assert Overlays({"solvent": box}, 16, 4.0).names == {}
    overlays = Overlays({"solvent": ball, "focus": ball}, 16, 4.0)
    assert list(overlays.names) == ["solvent", "focus"]
    images = [np.zeros((16, 16), np.uint8)] * 3
    cuts = overlays.cuts((8, 8, 8), images, overlays.places((8, 10, 7)))
    assert [cut.name for cut in cuts] == ["along z, +0 Å", "along y, +8 Å", "along x, -4 Å"]
    for cut in cuts:
        assert 'class="solvent"' in cut.over and 'class="focus"' in cut.over
        assert ">10 Å<" in cut.over


def test_outlines_of_large_masks_lie_where_the_mask_is():
    """They are averaged down, and drawn in the units of the picture all the same."""
    ball = blob(100, (0, 0, 0.2), 0.1)
    overlays = Overlays({"solvent": ball}, 100, 1.0)
    images = [np.zeros((100, 100), np.uint8)] * 3
    over = overlays.cuts((50, 50, 70), images, overlays.places((50, 50, 70)))[0].over
    frame = re.search(r'viewBox="0 0 ([\d.]+)', over)
    assert frame
    middle = points(re.findall(r' d="([^"]+)"', over)[0]).mean(axis=0) / float(frame[1])
    assert np.allclose(middle, [0.7, 0.5], atol=0.02)
