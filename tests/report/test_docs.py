"""The manual stays true: options as in the schema, links that lead somewhere."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

from emjax.campaign.folder import CampaignFolder
from emjax.report.page import write_figures
from tests.report.campaigns import add_map, add_subspace, make_campaign

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def test_options_page_matches_the_schema():
    done = subprocess.run(
        [sys.executable, ROOT / "docs/make_options.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_figure_has_a_caption_for_snakemake(tmp_path: Path):
    folder = make_campaign(tmp_path / "all", n_particles=200)
    add_map(folder)
    add_subspace(folder)
    captions = (ROOT / "workflow/report/figures.rst").read_text(encoding="utf-8")
    of_columns = 0
    for path in write_figures(CampaignFolder(folder), {}, tmp_path / "figures"):
        own = f'"{path.stem}":' in captions
        assert own or path.stem.startswith("som-rln")
        of_columns += not own
    assert of_columns <= 3 and 'name.startswith("som-")' in captions


def test_what_snakemakes_report_needs_is_installed():
    # Snakemake names it as an extra only.
    wanted = [line for line in requires("snakemake") or [] if 'extra == "reports"' in line]
    names = {re.split(r"\W", line)[0].lower() for line in wanted}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert names and names <= {re.split(r"\W", line)[0].lower() for line in declared}


def test_the_glossary_has_the_words_of_the_report():
    page = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    heads = re.findall(r"^\*\*(.+?)\*\*.*\n:   \S", page, re.MULTILINE)
    terms = [term.strip() for head in heads for term in head.split(",")]
    assert len(terms) > 50 and len(set(terms)) == len(terms)
    places = [*(ROOT / "emjax/report").rglob("*.py"), *(ROOT / "emjax/report").rglob("*.html")]
    places += [ROOT / "docs/reading-the-report.md", ROOT / "docs/method.md"]
    used = " ".join(path.read_text(encoding="utf-8") for path in places).lower()
    assert [term for term in terms if term.lower() not in used] == []


def columns(name: str) -> set[str]:
    """Columns of emjax's own that particle files get."""
    return set(re.findall(r"emjax[A-Z]\w+", (ROOT / name).read_text(encoding="utf-8")))


def test_columns_of_the_glossary_are_written():
    written = set()
    for path in (ROOT / "emjax").rglob("*.py"):
        written |= columns(str(path.relative_to(ROOT)))
    named = columns("docs/glossary.md")
    assert {"emjaxStability", "emjaxSetAside"} <= named <= written


def test_the_list_of_pages_is_whole():
    listed = re.findall(r"\]\((\S+?\.md)\)", (ROOT / "docs/README.md").read_text("utf-8"))
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert sorted(listed) == sorted(pages)
