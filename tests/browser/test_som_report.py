"""The report of a map made alone, in a real browser."""

from pathlib import Path

import pytest

from emjax.report.page import render_report
from tests.aligned_2d import write_images
from tests.som_jobs import make_som_job, som_config

pytestmark = pytest.mark.browser

TABS = ["map", "follows", "seeds", "provenance"]
MAP = [4, 3]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three seeds, on a hexagonal map."""
    folder = tmp_path_factory.mktemp("som_report")
    write_images(folder / "data", 200, 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = som_config("map", "data/particles.star", map=MAP, seeds=3, layout="hexa")
        job = make_som_job(folder, config)
        job.report.write_text(render_report(job, config), encoding="utf-8")
    return job.report


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_every_tab_can_be_read_by_everybody(open_page, report: Path, width: int, theme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = open_page(report, width, theme)
    names = page.locator("[role=tab]").evaluate_all("tabs => tabs.map(t => t.id.slice(4))")
    assert names == TABS
    for tab in TABS:
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        assert not [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found], tab


def test_pictures_lie_where_the_nodes_lie(open_page, report: Path):
    page = open_page(report)
    for name in ("som-code-vectors", "som-averages"):
        boxes = page.locator(f"#figure-{name} image").evaluate_all(
            "images => images.map(i => i.getBoundingClientRect()).map(b => [b.x, b.y, b.width])"
        )
        assert len(boxes) == MAP[0] * MAP[1]
        (x0, y0, side), (x1, y1, _), below = boxes[0], boxes[1], boxes[MAP[0]]
        assert side > 60 and x1 - x0 > 0.95 * side and abs(y1 - y0) < 1
        # Odd rows of a hexagonal map lie half a node to the right.
        assert abs(below[0] - x0 - (x1 - x0) / 2) < 2 and below[1] > y0
    page.hover("#figure-som-averages image")
    assert "Node " in page.inner_text("#tip") and "particles" in page.inner_text("#tip")


def test_seeds_are_shown_beside_each_other(open_page, report: Path):
    page = open_page(report)
    page.click("#tab-seeds")
    assert page.locator("#panel-seeds table").first.locator("tbody tr").count() == 3
    assert page.locator("#figure-som-seeds").is_visible()
    assert page.locator("[id^=figure-som-seed-]").count() == 2
