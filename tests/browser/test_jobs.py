"""Reports of stand-alone jobs in a real browser."""

import pytest

pytestmark = pytest.mark.browser
REBALANCE = ["superclasses", "affinity", "sizes", "provenance"]


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_a_rebalancing_passes_axe_and_is_not_wider_than_the_screen(open_report, width, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    page = open_report("rebalance", width, theme)
    for tab in REBALANCE:
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page).response["violations"]
        assert not [(v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found], tab


def test_tabs_of_a_rebalancing_by_keyboard(open_report):
    page = open_report("rebalance")
    page.focus("#tab-superclasses")
    for key, expected in [
        ("ArrowRight", "affinity"),
        ("End", "provenance"),
        ("Home", REBALANCE[0]),
    ]:
        page.keyboard.press(key)
        shown = [tab for tab in REBALANCE if page.locator(f"#panel-{tab}").is_visible()]
        assert shown == [expected]


def test_pictures_are_drawn_and_say_their_class(open_report):
    page = open_report("rebalance")
    widths = page.eval_on_selector_all(".thumbs img", "found => found.map(i => i.naturalWidth)")
    assert widths == [16] * 75
    page.click("#tab-affinity")
    picture = page.locator("#figure-affinity-sorted use").first
    picture.scroll_into_view_if_needed()
    assert picture.bounding_box()["width"] > 10
    picture.hover()
    assert page.inner_text("#tip").startswith("Class ")


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("csv", b"class,class_1,")])
def test_a_matrix_can_be_saved(open_report, kind: str, start: bytes):
    page = open_report("rebalance")
    page.click("#tab-affinity")
    with page.expect_download() as waiting:
        page.click(f"#figure-affinity [data-save={kind}]")
    assert waiting.value.path().read_bytes().startswith(start)
