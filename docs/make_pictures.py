"""Renew the pictures of the documents: small campaigns are run, their reports photographed.

    python -m docs.make_pictures    (make pictures runs the demo before)

The pages themselves are left in results/gallery/, from where the site takes them.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.consensus_verdicts import CASES, run
from emjax.campaign.folder import CampaignFolder

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "results/demo/report.html"
PAGES = ROOT / "results/gallery"  # a page per picture, of the same name
SIZE = {"width": 1180, "height": 1000}
GALLERY_HEIGHT = 720
CHROMIUM = "chromium", "chromium-browser", "google-chrome"


@dataclass(frozen=True)
class Picture:
    """A report of the gallery.

    Attributes:
        name: of its picture and its page.
        case: the campaign, of `benchmarks.consensus_verdicts`; None is the demo.
        mood: colour of its first box.
    """

    name: str
    case: str | None
    mood: str


GALLERY = (
    Picture("found", None, "found"),
    Picture("uncertain", "labels alone", "warn"),
    Picture("continuum", "continuum", "warn"),
    Picture("nothing", "one state", "nothing"),
)


def page_of(picture: Picture) -> Path:
    """The report of a finished campaign, which is run where it is not there yet.

    Raises:
        SystemExit: where the demo was not run, or a campaign fails or finds something else.
    """
    page = PAGES / f"{picture.name}.html"
    if picture.case is None:
        if not DEMO.exists():
            sys.exit(f"{DEMO.relative_to(ROOT)}: found no such file; run `make demo` first")
        shutil.copy(DEMO, page)
        return page
    case = next(case for case in CASES if case.name == picture.case)
    headline, good = run(case, PAGES) or ("no particles", False)
    if not good or not headline.startswith(f"{picture.mood}:"):
        sys.exit(f"{picture.case}: expected a verdict of mood {picture.mood}, found {headline}")
    shutil.copy(CampaignFolder.of(case.particles, PAGES).report, page)
    return page


def photograph(browser: Browser, page: Path, target: Path, height: int) -> None:
    """What a reader sees first of a page, as a PNG file."""
    opened = browser.new_page(viewport=SIZE, color_scheme="light")
    opened.goto(page.as_uri())
    opened.screenshot(path=target, clip={"x": 0, "y": 0, "width": SIZE["width"], "height": height})
    opened.close()


def main() -> None:
    """Campaigns, their pages, their pictures."""
    chromium = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if chromium is None:
        sys.exit(f"found none of {', '.join(CHROMIUM)}; install Chromium (apt install chromium)")
    PAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for picture in GALLERY:
            page = page_of(picture)
            photograph(browser, page, ROOT / f"docs/gallery/{picture.name}.png", GALLERY_HEIGHT)
            print(f"docs/gallery/{picture.name}.png", flush=True)
            if picture.case is None:
                photograph(browser, page, ROOT / "docs/report.png", SIZE["height"])
                print("docs/report.png", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
