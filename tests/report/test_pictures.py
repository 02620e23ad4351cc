"""The gallery has a report of each verdict, and its pictures are those of the command."""

import re
from pathlib import Path

import pytest

from tests.campaigns import ROOT

pictures = pytest.importorskip("docs.make_pictures", reason="needs Playwright (dev extra)")

PAGE = (ROOT / "docs/gallery.md").read_text("utf-8")


def test_every_colour_of_a_verdict_is_in_the_gallery():
    assert {picture.mood for picture in pictures.GALLERY} == {"found", "warn", "nothing"}
    shown = re.findall(r"!\[(\w+): [^\]]+\]\(gallery/([\w-]+)\.png\)", PAGE)
    colours = {"found": "Green", "warn": "Amber", "nothing": "Grey"}
    assert shown == [(colours[picture.mood], picture.name) for picture in pictures.GALLERY]


@pytest.mark.parametrize("name", [*(p.name for p in pictures.GALLERY), "../report"])
def test_pictures_have_the_size_of_the_command_and_are_small(name: str):
    data = (ROOT / f"docs/gallery/{name}.png").read_bytes()
    height = pictures.SIZE["height"] if "report" in name else pictures.GALLERY_HEIGHT
    assert data[:4] == b"\x89PNG" and len(data) < 250_000
    assert [int.from_bytes(data[i : i + 4]) for i in (16, 20)] == [pictures.SIZE["width"], height]


def test_without_the_demo_the_command_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pictures, "ROOT", tmp_path)
    monkeypatch.setattr(pictures, "DEMO", tmp_path / "results/demo/report.html")
    with pytest.raises(SystemExit, match="results/demo/report.html: found no such file; run `make"):
        pictures.page_of(pictures.GALLERY[0])


def test_without_chromium_nothing_is_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pictures.shutil, "which", lambda name: None)
    monkeypatch.setattr(pictures, "page_of", lambda picture: pytest.fail("a campaign was run"))
    with pytest.raises(SystemExit, match="found none of chromium, .*install Chromium"):
        pictures.main()


def test_a_campaign_of_another_verdict_is_no_picture(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pictures, "run", lambda case, work: ("warn: Too few to tell", True))
    (nothing,) = (p for p in pictures.GALLERY if p.mood == "nothing")
    with pytest.raises(SystemExit, match="one state: expected a verdict of mood nothing, found"):
        pictures.page_of(nothing)


def test_a_picture_opens_its_page_where_the_site_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hooks = pytest.importorskip("docs.hooks", reason="mkdocs is not installed (make env)")
    monkeypatch.setattr(hooks, "REPORTS", tmp_path)
    (tmp_path / "found.html").write_text("a report")

    class Gallery:
        class file:
            src_uri = "gallery.md"

    made = hooks.on_page_markdown(PAGE, Gallery, None, None)
    assert re.search(r"\[!\[Green[^]]+\]\(gallery/found\.png\)\]\(gallery/found\.html\)", made)
    assert made.count(".html)") == 1 and made.count(".png)") == len(pictures.GALLERY)
