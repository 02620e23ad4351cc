"""Reports of many classes are drawn at once."""

from pathlib import Path

import pytest

from tests.report.campaigns import add_map, add_subspace, make_campaign, render
from tests.report.outlier_files import add_outliers

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TIMES = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  ready: performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd,
})"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of fifty classes, with every part that a page can have."""
    folder = make_campaign(
        tmp_path_factory.mktemp("size") / "fifty",
        n_states=50,
        class_numbers=(50,),
        n_particles=5000,
        box=64,
    )
    add_outliers(folder, between=4)
    add_map(folder, side=10)
    add_subspace(folder, n=5000)
    page = folder / "report.html"
    page.write_text(render(folder), encoding="utf-8")
    return page


@pytest.mark.parametrize("width", [1280, 390])
def test_fifty_classes_are_painted_and_ready_within_three_seconds(open_page, large: Path, width):
    page = open_page(large, width)
    assert page.locator("article.card").count() == 50
    # The best of three: other programs on the machine are no fault of the page.
    best = {"paint": float("inf"), "ready": float("inf")}
    for _ in range(3):
        page.reload()
        found = page.evaluate(TIMES)
        best = {name: min(value, found[name]) for name, value in best.items()}
    assert 0 < best["paint"] < 3000 and 0 < best["ready"] < 3000, best


def test_the_last_of_fifty_surfaces_can_be_looked_at(open_page, large: Path):
    page = open_page(large)
    page.locator("button.look").last.click()
    page.wait_for_selector('#viewer-canvas[data-drawn="50"]')
