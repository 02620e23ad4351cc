"""The classes in a real browser: the table on top, what is drawn over pictures, the 3D view."""

import numpy as np
import pytest

pytestmark = pytest.mark.browser

DRAWN = "#viewer-canvas[data-drawn='{}']"
# Where something is drawn, as a picture of 16 pixels by 16 of the square in the middle.
SHAPE = """([selector, still]) => {
  const source = document.querySelector(selector);
  const [w, h] = still
    ? [source.naturalWidth, source.naturalHeight] : [source.width, source.height];
  const side = Math.min(w, h), small = document.createElement("canvas");
  small.width = small.height = 16;
  const context = small.getContext("2d");
  if (still) { context.fillStyle = "#edf2f6"; context.fillRect(0, 0, 16, 16); }
  context.drawImage(source, (w - side) / 2, (h - side) / 2, side, side, 0, 0, 16, 16);
  const { data } = context.getImageData(0, 0, 16, 16);
  return Array.from({ length: 256 }, (_, i) => 242 - data[4 * i + 1]);
}"""


def column(page, i: int) -> list[str]:
    return page.locator(f".summary tbody tr > :nth-child({i})").all_inner_texts()


def test_the_table_sorts_by_pointer_and_keyboard(open_report):
    page = open_report()
    heads = page.locator(".summary thead th")
    assert column(page, 1) == ["1", "2", "3", "4"]
    page.click(".summary th >> text=Particles")
    sizes = [int(text.replace(",", "")) for text in column(page, 2)]
    assert sizes == sorted(sizes) and heads.nth(1).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert column(page, 2) == [f"{size:,}" for size in sizes[::-1]]
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert column(page, 1) == ["1", "2", "3", "4"]
    assert [h.get_attribute("aria-sort") for h in heads.all()][:2] == ["ascending", None]


def test_cells_without_a_number_come_last_in_both_orders(open_report):
    page = open_report()
    page.evaluate("delete document.querySelector('.summary tr:nth-child(2) td').dataset.sort")
    for _ in range(2):
        page.click(".summary th >> text=Particles")
        assert column(page, 1)[-1] == "2"


def test_a_class_in_the_table_opens_its_card_from_any_tab(open_report):
    page = open_report()
    page.click("#tab-runs")
    page.click(".summary tbody a >> nth=2")
    page.wait_for_url("**#class-3")
    assert page.locator("#class-3").is_visible()


def test_every_slice_has_a_scale_bar_inside_it(open_report):
    page = open_report()
    inside = """cuts => cuts.map(cut => {
      const bar = cut.querySelector(".bar").getBoundingClientRect();
      const box = cut.querySelector("img").getBoundingClientRect();
      return bar.width > 0.1 * box.width && bar.left > box.left && bar.right < box.right
        && bar.bottom < box.bottom;
    })"""
    found = page.eval_on_selector_all("#class-1 .cut", inside)
    assert found == [True] * 8


def look(page) -> None:
    page.click("#class-1 .look")
    page.wait_for_selector(DRAWN.format("1"))


def shape(page, selector: str, still: bool = False) -> list[float]:
    return page.evaluate(SHAPE, [selector, still])


def likeness(a: list[float], b: list[float]) -> float:

    return float(np.corrcoef(a, b)[0, 1])


def test_the_view_closes(open_report):
    page = open_report()
    look(page)
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()


def test_the_view_has_the_hand_of_the_map(open_report):
    page = open_report()
    still = shape(page, "#class-1 .on-card img", still=True)
    look(page)
    seen = shape(page, "#viewer-canvas")
    rows = [seen[16 * i : 16 * i + 16] for i in range(16)]
    mirrored = [[x for row in rows[::-1] for x in row], [x for row in rows for x in row[::-1]]]
    own = likeness(seen, still)
    assert own > 0.8
    assert all(likeness(other, still) < own - 0.05 for other in mirrored)


def test_two_classes_side_by_side_have_one_camera(open_report):
    page = open_report()
    look(page)
    alone = shape(page, "#viewer-canvas")
    page.select_option("#viewer-beside", "1")
    page.wait_for_selector(DRAWN.format("1,1"))
    page.focus("#viewer-canvas")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    halves = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
      const source = document.querySelector("#viewer-canvas");
      const flat = document.createElement("canvas");
      [flat.width, flat.height] = [source.width, source.height];
      const context = flat.getContext("2d"), half = Math.floor(source.width / 2);
      context.drawImage(source, 0, 0);
      const part = x => context.getImageData(x, 0, half, source.height).data;
      const [a, b] = [part(0), part(half)];
      let apart = 0;
      a.forEach((v, i) => { apart = Math.max(apart, Math.abs(v - b[i])); });
      let [low, high] = [255, 0];
      a.forEach((v, i) => { if (i % 4 == 1) [low, high] = [Math.min(low, v), Math.max(high, v)]; });
      done([apart, high - low]);
    })))"""
    apart, contrast = page.evaluate(halves)
    assert apart <= 1 and contrast > 50  # the same class twice is the same picture
    assert page.locator("#viewer-names").inner_text().split("\n") == ["Class 1", "Class 1"]
    page.select_option("#viewer-beside", "")
    page.click("#viewer-reset")
    page.wait_for_selector(DRAWN.format("1"))
    page.wait_for_timeout(200)
    assert likeness(shape(page, "#viewer-canvas"), alone) > 0.99


def test_classes_follow_each_other_at_one_level(open_report):
    page = open_report()
    look(page)
    page.fill("#viewer-value", "0.5")
    page.press("#viewer-value", "Enter")
    sigma = float(page.input_value("#viewer-sigma"))
    page.click("#viewer-after")
    page.wait_for_selector(DRAWN.format("2"))
    assert page.inner_text("#viewer-title") == "Surface of class 2"
    assert float(page.input_value("#viewer-value")) == 0.5
    page.click("#viewer-before")
    page.click("#viewer-before")
    page.wait_for_selector(DRAWN.format("4"))
    page.fill("#viewer-sigma", str(2 * sigma))
    page.press("#viewer-sigma", "Enter")
    assert float(page.input_value("#viewer-value")) == pytest.approx(1.0, rel=0.1)


def test_zoom_changes_the_scale_bar(open_report):
    page = open_report()
    look(page)

    def scale() -> float:
        page.wait_for_timeout(200)
        bar = page.locator("#viewer-bar")
        return float(bar.inner_text().split()[0]) / bar.bounding_box()["width"]

    before = scale()
    page.click("#viewer-in")
    assert scale() == pytest.approx(before / 1.25, rel=0.02)


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_view_fits_and_passes_axe(open_report, width: int, theme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = open_report(width=width, theme=theme)
    look(page)
    box = page.locator("#viewer").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert page.evaluate("document.querySelector('#viewer').scrollWidth") <= box["width"]
    found = axe.Axe().run(page).response["violations"]
    assert not [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found]
