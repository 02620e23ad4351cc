"""A real Chromium, offline, that reports every error and every request it wants to make."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emjax.campaign.folder import CampaignFolder
from tests.report.campaigns import add_run_maps, make_campaign, render, render_run
from tests.report.outlier_files import add_outliers
from tests.report.rebalance_files import make_rebalance

RUN, OTHER_RUN = "em3d-K04-s001", "em3d-K04-s000"
CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Opened:
    """A page with what it complained about and asked for."""

    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser():
    """Chromium under Playwright, with a profile of its own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright (dev extra)")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three campaigns (states, nothing, pose error with a hostile name), a run and a job."""
    found = {}
    folder = tmp_path_factory.mktemp("browser") / "rebalance"
    page = make_rebalance(folder, 70, 5)
    found["rebalance"] = folder / "report.html"
    found["rebalance"].write_text(page, encoding="utf-8")
    for kind in ("states", "null", "jittered"):
        folder = make_campaign(
            tmp_path_factory.mktemp("browser") / kind, kind=kind, n_particles=800
        )
        changes = (
            {"campaign": "<script>document.title='broken'</script>"} if kind == "jittered" else {}
        )
        if kind == "states":
            add_outliers(folder, between=4)
            for run in (RUN, OTHER_RUN):
                add_run_maps(folder, run)
                page = CampaignFolder(folder).run(run).report
                page.write_text(render_run(folder, run), encoding="utf-8")
            found["run"] = CampaignFolder(folder).run(RUN).report
        path = folder / "report.html"
        path.write_text(render(folder, **changes), encoding="utf-8")
        found[kind] = path
    return found


@pytest.fixture
def open_page(browser) -> Iterator:
    """Opens a page by its path; fails at the end if it complained or asked a network.

    Wait for selectors, not by wait_for_function: the policy of the pages forbids eval, with which
    it looks a second time, so that it fails where the first look came too early.
    """
    opened: list[Opened] = []

    def open_one(path: Path, width: int = 1280, theme: str = "light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        # The processor draws the surfaces here, on busy machines in more than the usual 30 seconds.
        page.set_default_timeout(180_000)
        record = Opened(page)
        page.on("console", lambda m: record.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: record.errors.append(str(e)))
        page.on("request", lambda r: record.requests.append(r.url))
        page.goto(path.as_uri())
        opened.append(record)
        return page

    yield open_one
    for record in opened:
        record.page.close()
        assert not record.errors
        outside = [
            url for url in record.requests if not url.startswith(("file:", "data:", "blob:"))
        ]
        assert not outside


@pytest.fixture
def open_report(open_page, reports: dict[str, Path]):
    """Opens the report of one of the campaigns."""

    def open_one(kind: str = "states", width: int = 1280, theme: str = "light"):
        return open_page(reports[kind], width, theme)

    return open_one
