"""Maps of the sphere of viewing directions."""

import re
from pathlib import Path

import numpy as np
import pytest

from emjax.io.star.tables import StarFile, read_star, write_star
from emjax.report.figure import Figure
from emjax.report.views import Cells, on_map, views_figure
from tests.report.campaigns import make_campaign, read


def test_cells_hold_equal_shares_of_the_sphere():
    rng = np.random.default_rng(0)
    rot, tilt = rng.uniform(-180, 180, 50_000), np.rad2deg(np.arccos(rng.uniform(-1, 1, 50_000)))
    count = Cells(5).count(rot, tilt)
    assert len(count) == 50
    assert np.abs(count - 1000).max() < 5 * np.sqrt(1000)  # five standard deviations
    assert Cells(5).said(0) == "rot -180 to -144°, tilt 0 to 53°"


def test_the_map_keeps_areas():
    def area(rot: float, height: float) -> float:
        step = 1e-3
        x, y = on_map(np.array([rot, rot + step, rot]), np.array([height, height, height + step]))
        edges = (
            np.stack([np.diff(x[[0, 1]]), np.diff(y[[0, 1]])]),
            np.stack([x[2:] - x[:1], y[2:] - y[:1]]),
        )
        return abs(float(np.linalg.det(np.hstack(edges)))) / step**2

    # To the size of the step, by which the parallelogram is off.
    values = [area(rot, height) for rot in (-170, -60, 0, 100) for height in (-0.9, 0.0, 0.6)]
    assert np.ptp(values) < 0.01 * np.mean(values)


def test_the_map_fills_its_frame():
    x, y = on_map(np.array([-180.0, 180, 0, 0]), np.array([0.0, 0, 1, -1]))
    assert np.allclose(x, [-1, 1, 0, 0], atol=1e-9) and np.allclose(y, [0, 0, 1, -1], atol=1e-9)


def drawn(folder: Path, rot: np.ndarray, tilt: np.ndarray) -> Figure:
    path = folder / "consensus/particles.star"
    table = read_star(path).tables[0]
    given = {"rlnAngleRot": rot, "rlnAngleTilt": tilt}
    write_star(path, StarFile((table.with_columns(given),)))
    found = views_figure(read(folder))
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_campaign(tmp_path / "c", n_states=2, n_particles=2000)


def test_even_views_and_a_class_of_its_own_views(folder: Path):
    rng = np.random.default_rng(7)  # not the seed that drew the classes
    rot, tilt = rng.uniform(-180, 180, 2000), np.rad2deg(np.arccos(rng.uniform(-1, 1, 2000)))
    figure = drawn(folder, rot, tilt)
    assert figure.title.startswith("Particles cover 100")
    assert "; all classes have the same views (to 5" in figure.title
    assert str(figure.drawing).count("<g ") == 3
    assert int(figure.data["all"].to_numpy().sum()) == 2000
    classes = read(folder).particles["rlnClassNumber"]
    assert int(figure.data["class_2"].to_numpy().sum()) == int((classes == 2).sum())
    tilt[classes == 2] = np.rad2deg(np.arccos(rng.uniform(0.5, 1, int((classes == 2).sum()))))
    assert "of class 2 have other views than all" in drawn(folder, rot, tilt).title


def test_a_few_views_stand_out(folder: Path):
    rng = np.random.default_rng(0)
    rot = np.full(2000, 20.0) + rng.normal(size=2000)
    tilt = np.full(2000, 100.0) + rng.normal(size=2000)
    rot[:20] = rng.uniform(-180, 180, 20)
    figure = drawn(folder, rot, tilt)
    share = re.search(r"densest tenth of them holds \D*(\d+)", figure.title)
    assert share and int(share[1]) >= 99
    fills = re.findall(r"fill:(#\w+)", str(figure.drawing).split("<g ")[1])
    assert fills.count("#fee838") <= 4 < 40 < fills.count("#00224e")


def test_without_poses_there_is_no_figure(campaign: Path):
    assert views_figure(read(campaign)) is None
