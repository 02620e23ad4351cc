"""The documents as a site: every page is in it, and nothing of it comes from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed (make env)")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path):
    front = (site / "index.html").read_text(encoding="utf-8")
    names = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"}
    assert {"tutorial", "method", "api"} <= names
    linked = front + (site / "method.html").read_text(encoding="utf-8")
    for name in names:
        assert (site / f"{name}.html").exists(), name
        assert f'href="{name}.html"' in linked, name


def test_nothing_is_loaded_from_elsewhere(site: Path):
    loads = re.compile(
        r"""<(?:script|img|iframe|source)[^>]+src=["']?(https?:)?//|"""
        r"""<link[^>]+rel=["']?(?:stylesheet|preconnect|preload)["']?[^>]+href=["']?(https?:)?//"""
    )
    pages = sorted(site.glob("*.html"))
    assert len(pages) > 15
    for page in pages:
        assert not loads.search(page.read_text(encoding="utf-8")), page.name


def test_formulas_are_drawn_by_the_browser(site: Path):
    page = (site / "method.html").read_text(encoding="utf-8")
    assert page.count("<math") > 40
    assert "arithmatex" not in page and "\\frac" not in page


def test_the_library_page_shows_what_its_code_prints(site: Path):
    page = (site / "library.html").read_text(encoding="utf-8")
    assert "nowhere.star: found no such file" in page and "classes: each pair" in page


def test_the_reference_has_every_public_name(site: Path):
    import emjax

    page = (site / "api.html").read_text(encoding="utf-8")
    for name in emjax.__all__:
        if name != "__version__":
            assert re.search(rf'id="emjax\.[\w.]*\b{name}"', page), name


def test_links_show_titles_in_place_of_file_names(site: Path):
    pages = [path.read_text(encoding="utf-8") for path in site.glob("*.html")]
    assert any(">How to read the report</a>" in page for page in pages)
    assert not any(re.search(r'href="[\w-]+\.html">[\w-]+\.md</a>', page) for page in pages)
