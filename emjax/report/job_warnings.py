"""Warnings in the records of the runs and in the logs of the jobs, each once."""

from collections import defaultdict

from emjax.report.campaign import Campaign
from emjax.report.tab import Table

MARK = "warning: "  # before a warning in a log
MOST_ROWS = 100


def warnings_of(campaign: Campaign) -> dict[str, list[str]]:
    """Runs and jobs that gave each warning, but for those that the first page repeats."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in campaign.run_names():
        for line in campaign.metrics.get(name, {}).get("warnings") or []:
            found[str(line)].append(name)
    for log in sorted(campaign.folder.logs.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for words in dict.fromkeys(line.partition(MARK)[2].strip() for line in lines):
            # A job says before its run's warning which run it is.
            said = any(words.endswith(known) for known in found)
            if words and not said and words not in campaign.input_doubts:
                found[words].append(log.stem)
    return dict(found)


def warnings_table(campaign: Campaign) -> list[Table]:
    """For the page: what was warned of, and where."""
    rows = [(_where(names), words) for words, names in warnings_of(campaign).items()]
    if not rows:
        return []
    title = "Warnings of runs and jobs"
    if len(rows) > MOST_ROWS:
        title += f" (the first {MOST_ROWS} of {len(rows)}; the others are in the logs)"
    return [Table(title, ("Run or job", "Warning"), rows[:MOST_ROWS])]


def _where(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
