"""Pages of stand-alone jobs in a real browser."""

from pathlib import Path

import pytest

from emjax.report.page import render_report
from tests.report.alone_files import make_consensus, make_reconstruction

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A consensus of label files, and reconstructed classes."""
    found = {}
    for kind, make in (("consensus", make_consensus), ("reconstruct", make_reconstruction)):
        folder, config = make(tmp_path_factory.mktemp("alone"))
        folder.report.write_text(render_report(folder, config), encoding="utf-8")
        found[kind] = folder.report
    return found


@pytest.mark.parametrize("kind", ["consensus", "reconstruct"])
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_every_tab_opens_and_passes_axe(open_report, kind: str, width: int, theme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = open_report(kind, width, theme)
    for tab in page.locator("[role=tab]").all():
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        assert not [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found]


def test_the_tree_of_label_files_can_be_cut(open_report):
    page = open_report("consensus")
    page.click("#tab-number")
    rows = page.locator("#cut-table tbody tr")
    before = rows.count()
    page.focus("#cut")
    page.keyboard.press("ArrowRight")
    assert rows.count() == before + 1
    assert f"n_classes: {before + 1}" in page.inner_text("#cut-code")


def test_a_group_is_a_link_to_its_particles(open_report):
    page = open_report("consensus")
    page.click("#tab-intersections")
    link = page.locator("#panel-intersections td a").first
    assert link.get_attribute("href") == "consensus/intersections/intersection_001.star"


def test_maps_of_given_classes_are_seen(open_report):
    page = open_report("reconstruct")
    pictures = page.locator("#class-5 .pictures img")
    assert pictures.count() == 6
    widths = pictures.evaluate_all("images => images.map(i => i.naturalWidth)")
    assert min(widths) > 0
    page.click("#class-5 .look")
    page.wait_for_selector("#viewer-canvas[hidden], #viewer-canvas[data-drawn]", state="attached")
