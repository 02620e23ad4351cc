"""The report in a real browser: it works, it is quiet, everybody can read it."""

import re

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage

from emjax.report.number import cut_from_left, tree_layout

pytestmark = pytest.mark.browser

TABS = ["classes", "number", "runs", "particles", "audit", "provenance"]


def tabs(page) -> list[str]:
    return [t for t in TABS if page.locator(f"#tab-{t}").count()]


def shown(page) -> list[str]:
    return [t for t in TABS if page.locator(f"#panel-{t}").is_visible()]


@pytest.mark.parametrize(
    ("kind", "width", "theme"),
    [
        ("states", 1280, "light"),
        ("states", 1280, "dark"),
        ("states", 390, "dark"),
        ("null", 390, "light"),
        ("jittered", 1280, "dark"),
    ],
)
def test_contrast_and_roles_pass_axe(open_report, kind: str, width: int, theme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = open_report(kind, width, theme)
    for tab in tabs(page):
        page.click(f"#tab-{tab}")
        found = axe.Axe().run(page).response["violations"]
        assert not [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found], tab


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(open_report, width: int):
    page = open_report(width=width)
    for tab in TABS:
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_tabs_by_keyboard(open_report):
    page = open_report()
    page.focus("#tab-classes")
    for key, expected in [
        ("ArrowRight", "number"),
        ("ArrowRight", "runs"),
        ("End", "provenance"),
        ("ArrowRight", "classes"),
        ("ArrowLeft", "provenance"),
        ("Home", "classes"),
    ]:
        page.keyboard.press(key)
        assert shown(page) == [expected]
        assert page.evaluate("document.activeElement.id") == f"tab-{expected}"


def test_cut_moves_and_the_table_follows(open_report):
    page = open_report()
    page.click("#tab-number")
    assert page.locator("#cut-table tbody tr").count() == 4
    before = page.locator("#cut-line").get_attribute("y1")
    page.focus("#cut")
    page.keyboard.press("ArrowRight")
    assert page.locator("#cut-table tbody tr").count() == 5
    assert page.locator("#cut-line").get_attribute("y1") != before
    assert "n_classes: 5" in page.inner_text("#cut-code")
    sizes = page.locator("#cut-table tbody td:nth-child(2)").all_inner_texts()
    caption = page.inner_text("#cut-caption")
    assert f"{sum(int(s.replace(',', '')) for s in sizes):,}" in caption


@pytest.mark.parametrize("method", ["average", "centroid"])
def test_the_page_cuts_a_tree_as_the_report_does(open_report, method: str):
    page = open_report()
    for n in (2, 3, 17, 40):
        # Heights of the centroid method may fall.
        tree = linkage(np.random.default_rng(n).normal(size=(n, 2)), method)
        order, _ = tree_layout(tree)
        for k in range(1, n + 1):
            cut = page.evaluate(
                "([merges, order, k]) => cutFromLeft(merges, order, k)", [tree.tolist(), order, k]
            )
            assert cut == cut_from_left(tree, k).tolist()


def test_classes_at_a_cut_are_named_as_the_classes_in_use(open_report):
    page = open_report()
    page.click("#tab-number")
    names = page.locator("#cut-table tbody td:nth-child(1)")
    assert names.all_inner_texts() == [f"class {c}" for c in range(1, 5)]
    held = page.locator("#cut-table tbody td:nth-child(6)").all_inner_texts()
    assert [text.split(":")[0] for text in held] == [f"class {c}" for c in range(1, 5)]
    page.focus("#cut")
    page.keyboard.press("ArrowRight")
    assert names.all_inner_texts() == [*(f"class {c}" for c in range(1, 5)), "new"]
    fills = page.locator("#cut-table tbody i").evaluate_all(
        "marks => marks.map(mark => mark.style.background)"
    )
    assert len(set(fills)) == 5


def test_a_link_opens_its_tab(open_report):
    page = open_report()
    page.click("#tab-runs")
    assert page.url.endswith("#panel-runs")
    page.goto(page.url.replace("#panel-runs", "#figure-agreement"))
    assert shown(page) == ["runs"]
    page.goto("about:blank")
    page.goto(open_report().url + "#panel-audit")
    assert shown(page) == ["audit"]


def test_a_saved_figure_has_title_and_caption(open_report):
    page = open_report()
    with page.expect_download() as waiting:
        page.click("#figure-occupancy [data-save=svg]")
    page.goto(waiting.value.path().rename(waiting.value.path().with_suffix(".svg")).as_uri())
    texts = page.locator("text").evaluate_all("all => all.map(t => t.textContent)")
    assert any(text.startswith("Class 1 is the largest") for text in texts)
    assert any(text.startswith("Share of all particles") for text in texts)
    outside = """() => { const f = document.documentElement.getBoundingClientRect();
        return [...document.querySelectorAll('text')].map(t => t.getBoundingClientRect())
            .filter(b => b.left < f.left || b.right > f.right || b.top < f.top
                || b.bottom > f.bottom).length; }"""
    assert page.evaluate(outside) == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_no_label_of_a_figure_is_cut_off(open_report, width: int):
    page = open_report(width=width)
    for key in TABS:
        page.click(f"#tab-{key}")
        cut = page.evaluate(
            """key => [...document.querySelectorAll(`#panel-${key} svg.chart`)].flatMap(svg => {
                const f = svg.getBoundingClientRect();
                return [...svg.querySelectorAll('text')].filter(t => {
                    const b = t.getBoundingClientRect();
                    return b.left < f.left - 1 || b.right > f.right + 1 || b.bottom > f.bottom + 1;
                }).map(t => svg.getAttribute('aria-label') + ': ' + t.textContent); })""",
            key,
        )
        assert cut == []


def test_cut_follows_the_pointer(open_report):
    page = open_report()
    page.click("#tab-number")
    page.locator("#cut-line").scroll_into_view_if_needed()
    box = page.locator("#cut-line").bounding_box()
    x, y = box["x"] + 80, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 130, steps=4)
    page.mouse.up()
    assert page.locator("#cut-table tbody tr").count() > 4


def test_picked_classes_become_an_option(open_report):
    page = open_report()
    assert "All 4 classes are kept" in page.inner_text("#keep-text")
    assert not page.locator("#keep-how").is_visible()
    page.uncheck(".keep[value='2']")
    page.uncheck(".keep[value='4']")
    assert page.inner_text("#keep-code") == "rebalance: {keep: [1, 3]}"
    assert "Picked are classes 1, 3" in page.inner_text("#keep-text")
    for number in "13":
        page.uncheck(f".keep[value='{number}']")
    assert page.inner_text("#keep-text") == "Keep at least one class."


def test_hover_gives_numbers(open_report):
    page = open_report()
    bar = page.locator("#figure-occupancy rect[data-tip]").first
    bar.scroll_into_view_if_needed()
    bar.hover()
    assert "particles" in page.inner_text("#tip")


def test_particles_are_seen_beside_their_projections(open_report):
    page = open_report()
    page.click("#tab-particles")
    pairs = page.locator(".pairs figure")
    assert pairs.count() == 9
    widths = "images => images.map(i => [i.naturalWidth, i.getBoundingClientRect().width > 90])"
    assert page.eval_on_selector_all(".pairs img", widths) == [[16, True]] * 18
    pairs.first.scroll_into_view_if_needed()
    pairs.first.hover()
    said = page.inner_text("#tip")
    assert said.startswith("Particle 61, no class, fit ") and said.endswith(
        "micrograph <b>mic3.mrc"
    )


@pytest.mark.parametrize(
    ("kind", "start"), [("svg", b"<svg"), ("csv", b"class,"), ("png", b"\x89PNG")]
)
def test_figures_can_be_saved(open_report, kind: str, start: bytes):
    page = open_report()
    with page.expect_download() as waiting:
        page.click(f"#figure-occupancy [data-save={kind}]")
    path = waiting.value.path()
    assert waiting.value.suggested_filename == f"occupancy.{kind}"
    assert path.read_bytes().startswith(start)


def test_numbers_open_as_a_table(open_report):
    page = open_report()
    page.click("#figure-occupancy [data-save=table]")
    assert page.locator("#figure-occupancy .numbers tr").count() == 5
    page.click("#figure-occupancy [data-save=table]")
    assert page.locator("#figure-occupancy .numbers").count() == 0


def test_theme_button(open_report):
    page = open_report(theme="dark")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.click("#theme")
    assert page.get_attribute("html", "data-theme") == "light"


def test_script_in_a_name_stays_text(open_report):
    page = open_report("jittered")
    assert page.title().startswith("<script>")
    assert "<script>" in page.inner_text(".brand")


def test_print_shows_every_part(open_report):
    page = open_report()
    page.emulate_media(media="print")
    assert shown(page) == TABS
    assert not page.locator(".tabs").is_visible()


def test_print_is_light_whatever_the_theme(open_report):
    page = open_report(theme="dark")
    ink = "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
    dark = page.evaluate(ink)
    page.emulate_media(media="print")
    assert page.evaluate(ink) == "#1b2430" != dark


def test_verdicts_are_read_first(open_report):
    assert "No reproducible classes" in open_report("null").inner_text("h1")
    assert "viewing direction" in open_report("jittered").inner_text(".distrust")


# A4 without its margins of 12 mm, in CSS pixels.
PAPER = {"width": round(186 / 25.4 * 96), "height": round(273 / 25.4 * 96)}


@pytest.mark.parametrize("kind", ["states", "null", "run", "rebalance"])
def test_printed_figures_fit_on_a_page_and_pages_are_full(open_report, kind: str):
    page = open_report(kind)
    pdf = page.pdf(format="A4", prefer_css_page_size=True)
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    heights = page.evaluate(
        "[...document.querySelectorAll('.figure, .card:not(.gallery)')]"
        ".map((e) => [e.id, e.getBoundingClientRect().height])"
    )
    assert heights and not [(name, h) for name, h in heights if h > PAPER["height"]]
    # What is not broken between pages leaves less than a quarter of them empty.
    full = page.evaluate("document.documentElement.scrollHeight") / PAPER["height"]
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))
    assert full <= pages <= 1.34 * full + 1


def test_nothing_is_cut_off_at_the_right_of_a_printed_page(open_report):
    page = open_report()
    page.emulate_media(media="print")
    page.set_viewport_size(PAPER)
    out = page.evaluate(
        "[...document.querySelectorAll('.panel *, .verdict *, .summary *')]"
        f".filter((e) => !e.closest('svg') && e.getBoundingClientRect().right > {PAPER['width']})"
        ".map((e) => e.className + ': ' + e.textContent.slice(0, 60))"
    )
    assert out == []
