"""The page of a run in a real browser."""

import pytest

pytestmark = pytest.mark.browser

TABS = ["classes", "iterations", "particles", "provenance"]


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_every_part_fits_the_screen_and_passes_axe(open_report, width: int, theme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = open_report("run", width, theme)
    assert [tab.get_attribute("id") for tab in page.query_selector_all("[role=tab]")] == [
        f"tab-{tab}" for tab in TABS
    ]
    for tab in TABS:
        page.click(f"#tab-{tab}")
        assert page.locator(f"#panel-{tab}").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        assert not [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found], tab


def test_links_lead_to_the_next_run_and_to_the_campaign_and_back(open_report):
    page = open_report("run")
    page.click("nav >> text=previous: em3d-K04-s000")
    assert "em3d-K04-s000" in page.inner_text("h1")
    page.click("nav >> text=All runs")
    page.locator("#panel-runs").wait_for()  # until it is there and visible
    page.click("#panel-runs td a >> text=em3d-K04-s001")
    assert "em3d-K04-s001" in page.inner_text("h1")


def test_differences_from_the_consensus_are_blank_where_the_class_is_the_same(open_report):
    page = open_report("run")
    spread = """images => images.map(image => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const red = data.filter((_, i) => i % 4 === 0);
      return Math.max(...red) - Math.min(...red);
    })"""
    same = page.eval_on_selector_all("img[alt*='difference from the consensus']", spread)
    other = page.eval_on_selector_all("img[alt*='difference from the mean']", spread)
    assert len(same) == len(other) == 12
    assert max(same) <= 1 and min(other) > 20


def test_numbers_of_the_flow_open_and_cells_say_theirs(open_report):
    page = open_report("run")
    page.click("#tab-iterations")
    page.click("#figure-flow-matrices [data-save=table]")
    assert page.locator("#figure-flow-matrices .numbers tr").count() == 201
    cell = page.locator("#figure-flow-matrices rect[data-tip]").first
    cell.scroll_into_view_if_needed()
    cell.hover()
    assert page.inner_text("#tip").startswith("Iteration 1 class 1 to iteration 2 class 1: ")


def test_print_shows_every_part(open_report):
    page = open_report("run")
    page.emulate_media(media="print")
    assert all(page.locator(f"#panel-{tab}").is_visible() for tab in TABS)
