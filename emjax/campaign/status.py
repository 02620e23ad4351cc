"""Where a campaign stands, from its files: what is done, what runs, what was found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emjax.campaign.alone import CAMPAIGN
from emjax.campaign.folder import CampaignFolder, ConsensusFolder
from emjax.campaign.methods import METHODS
from emjax.campaign.origin import checksum_of, other_particles
from emjax.campaign.outcome import outcome
from emjax.io.files import read_json, read_tsv


def status(config: dict[str, Any]) -> Iterator[str]:
    """A few lines about a campaign, the first of them its folder.

    Args:
        config: with every default filled in.
    """
    folder = CampaignFolder.of(config["campaign"])
    kind = "Campaign" if config["job"] == CAMPAIGN else f"Job {config['job']}"
    yield f"{kind} {config['campaign']}: {folder.path}"
    if config["job"] != CAMPAIGN:
        yield from (f"  {name} is not finished; {line}" for name, line in _unfinished(folder.logs))
        yield from (f"  {line}" for line in outcome(folder))
        return
    if not folder.prepare.facts.exists():
        yield "  not started"
        return
    facts = read_json(folder.prepare.facts)
    yield f"  particles: {facts['n_particles']} of {facts['box_size']} px"
    for method in METHODS.values():
        if runs := method.runs(config):
            done = sum(folder.run(run).metrics.exists() for run in runs)
            yield f"  {method.name}: {done} of {len(runs)} runs finished"
    for name, line in _unfinished(folder.logs):
        yield f"  {name} is not finished; {line}"
    for why in _out_of_date(config, folder, facts):
        yield f"  OUT OF DATE: {why}"
    if folder.consensus.stability.exists():
        yield from (f"  {line}" for line in _found(folder.consensus, config["consensus"]["fdr"]))
    if folder.report.exists():
        yield f"  report: {folder.report.absolute()}"


def _unfinished(logs: Path) -> Iterator[tuple[str, str]]:
    """Jobs that run, failed or were stopped, with the last line of their logs."""
    for log in sorted(logs.glob("*.log"), key=lambda path: path.stat().st_mtime):
        lines = log.read_text(encoding="utf-8").splitlines()
        if lines and not lines[-1][20:].startswith("done after"):
            yield log.stem, lines[-1]


def _found(folder: ConsensusFolder, fdr: float) -> Iterator[str]:
    """What the consensus found, class by class."""
    classes = read_tsv(folder.stability)
    significant = (classes["q_value"] < fdr).sum()
    number = f"{len(classes)} class{'es' * (len(classes) != 1)}"
    yield f"consensus: {number}, {significant} of them significant"
    for row in classes.to_dict("records"):
        size, stability = row["size"], row["mean_stability"]
        yield f"  class {row['class']}: {size} particles, stability {stability:.2f}"
    elbows = read_json(folder.elbows)
    chosen, best, why = (elbows.get(name, "") for name in ("chosen", "recommended", "why"))
    if chosen == best:
        yield f"why this number: {why}"
    else:
        why = why.removeprefix(f"{best} classes: ")
        yield f"you asked for {chosen}; {best} would be recommended: {why}"


def _out_of_date(
    config: dict[str, Any], folder: CampaignFolder, facts: dict[str, Any]
) -> Iterator[str]:
    """Why what the folder holds is not the answer for the campaign's particles."""
    other = other_particles(config["particles"], folder, config["job"])
    if other:
        yield other
    elif checksum_of(config["particles"]) not in (None, facts.get("checksum")):
        yield f"{config['particles']} has changed since the preparation"
    prepared = folder.prepare.facts.stat().st_mtime
    results = [folder.consensus.stability, folder.report]
    old = [path.name for path in results if path.exists() and path.stat().st_mtime < prepared]
    if old:
        yield f"{' and '.join(old)} {'is' if len(old) == 1 else 'are'} older than the preparation"
