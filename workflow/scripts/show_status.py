"""Where a campaign stands, from its files: what is done, what runs, what was found.

Usage: show_status.py CONFIG.yaml
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from emjax.campaign.folder import CampaignFolder
from emjax.campaign.methods import METHODS
from emjax.campaign.origin import checksum_of, other_particles
from emjax.campaign.settings import ConfigError, read_config
from emjax.io.files import read_json, read_tsv


def unfinished(logs: Path) -> Iterator[tuple[str, str]]:
    """Jobs that run, failed or were stopped, with the last line of their logs."""
    for log in sorted(logs.glob("*.log"), key=lambda path: path.stat().st_mtime):
        lines = log.read_text(encoding="utf-8").splitlines()
        if lines and not lines[-1][20:].startswith("done after"):
            yield log.stem, lines[-1]


def found(folder: Path, fdr: float) -> Iterator[str]:
    """What the consensus found, class by class."""
    classes = read_tsv(folder / "consensus" / "stability.tsv")
    significant = (classes["q_value"] < fdr).sum()
    number = f"{len(classes)} class{'es' * (len(classes) != 1)}"
    yield f"consensus: {number}, {significant} of them significant"
    for row in classes.to_dict("records"):
        size, stability = row["size"], row["mean_stability"]
        yield f"  class {row['class']}: {size} particles, stability {stability:.2f}"
    elbows = read_json(folder / "consensus" / "elbows.json")
    chosen, best, why = (elbows.get(name, "") for name in ("chosen", "recommended", "why"))
    if chosen == best:
        yield f"why this number: {why}"
    else:
        why = why.removeprefix(f"{best} classes: ")
        yield f"you asked for {chosen}; {best} would be recommended: {why}"


def out_of_date(config: dict, folder: Path, facts: dict) -> Iterator[str]:
    """Why what follows in the folder is not the answer for the campaign's particles."""
    other = other_particles(config["particles"], CampaignFolder(folder))
    if other:
        yield other
    elif checksum_of(config["particles"]) not in (None, facts.get("checksum")):
        yield f"{config['particles']} has changed since the preparation"
    prepared = (folder / "prepare" / "prepare.json").stat().st_mtime
    results = [folder / "consensus" / "stability.tsv", folder / "report.html"]
    old = [path.name for path in results if path.exists() and path.stat().st_mtime < prepared]
    if old:
        yield f"{' and '.join(old)} {'is' if len(old) == 1 else 'are'} older than the preparation"


def main(source: str) -> None:
    """Print a few lines about the campaign of a configuration file."""
    config = read_config(source)
    folder = Path("results") / config["campaign"]
    print(f"Campaign {config['campaign']}: {folder}")
    if not (folder / "prepare" / "prepare.json").exists():
        print("  not started")
        return
    facts = read_json(folder / "prepare" / "prepare.json")
    print(f"  particles: {facts['n_particles']} of {facts['box_size']} px")
    for method in METHODS.values():
        if runs := method.runs(config):
            done = sum((folder / "runs" / str(run) / "metrics.json").exists() for run in runs)
            print(f"  {method.name}: {done} of {len(runs)} runs finished")
    for name, line in unfinished(Path("logs") / config["campaign"]):
        print(f"  {name} is not finished; {line}")
    for why in out_of_date(config, folder, facts):
        print(f"  OUT OF DATE: {why}")
    if (folder / "consensus" / "stability.tsv").exists():
        print(*(f"  {line}" for line in found(folder, config["consensus"]["fdr"])), sep="\n")
    report = folder / "report.html"
    if report.exists():
        print(f"  report: {report.absolute()}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ConfigError, OSError) as error:
        sys.exit(f"error: {error}")
