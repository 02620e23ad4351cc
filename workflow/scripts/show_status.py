"""Where a campaign stands, from its files: what is done, what runs, what was found.

Usage: show_status.py CONFIG.yaml
"""

import sys
from pathlib import Path

import yaml

from emjax.io.atomic import read_json, read_tsv

sys.path.insert(0, str(Path(__file__).parents[1] / "rules"))
from settings import ConfigError, complete, em3d_batches  # noqa: E402


def main(source: str) -> None:
    """Print a few lines about the campaign of a configuration file."""
    config = complete(yaml.safe_load(Path(source).read_text()), source)
    folder = Path("results") / config["campaign"]
    logs = Path("logs") / config["campaign"]
    print(f"Campaign {config['campaign']}: {folder}")
    if not (folder / "prepare" / "prepare.json").exists():
        print("  not started")
        return
    facts = read_json(folder / "prepare" / "prepare.json")
    print(f"  particles: {facts['n_particles']} of {facts['box_size']} px")
    for batch in em3d_batches(config):
        done = sum((folder / "runs" / run / "metrics.json").exists() for run in batch.runs)
        log = logs / f"classify_{batch.name}.log"
        last = log.read_text().splitlines()[-1:] if log.exists() and done < len(batch.runs) else []
        print(f"  {batch.name}: {done} of {len(batch.runs)} runs finished", *last, sep="; ")
    if (folder / "consensus" / "stability.tsv").exists():
        classes = read_tsv(folder / "consensus" / "stability.tsv")
        elbows = read_json(folder / "consensus" / "elbows.json")
        significant = (classes["q_value"] < config["consensus"]["fdr"]).sum()
        print(f"  consensus: {len(classes)} classes, {significant} of them significant")
        for row in classes.to_dict("records"):
            print(
                f"    class {row['class']}: {row['size']} particles,"
                f" stability {row['mean_stability']:.2f}"
            )
        print(f"  why this number: {elbows.get('why', '')}")
    report = folder / "report.html"
    if report.exists():
        print(f"  report: {report.absolute()}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ConfigError, OSError) as error:
        sys.exit(f"error: {error}")
