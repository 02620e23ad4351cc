"""What a Snakemake that ends says last: the verdict and the report, or why a job failed."""

from collections.abc import Iterator

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.lock import started
from emjax.io.files import read_json


def outcome(folder: CampaignFolder) -> Iterator[str]:
    """The verdict of a finished campaign and where its report lies."""
    if folder.verdict.exists():
        verdict = read_json(folder.verdict)
        yield f"{verdict['badge']}: {verdict['headline']}"
    if folder.report.exists():
        yield f"report: {folder.report.absolute()}"


def last_errors(folder: CampaignFolder) -> Iterator[str]:
    """The last lines of the logs of jobs that failed or were interrupted since the start."""
    start = started(folder.path.name)
    for log in sorted(folder.logs.glob("*.log"), key=lambda path: path.stat().st_mtime):
        last = log.read_text(encoding="utf-8").splitlines()[-1:]
        said = last[0][20:] if last else ""
        if said.startswith(("error: ", "interrupted")) and log.stat().st_mtime >= start:
            yield f"{said} (log: {log})"
