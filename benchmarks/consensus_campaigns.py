"""Whole campaigns of 5 seeds of em3d (K = 4, 24 Å): what their consensus and audit say.

    python -m benchmarks.consensus_campaigns [--only SET …] [--work FOLDER] [--check]

Sets: spliceosome (four states), jittered (the same with wrong poses), null_small and null (4000
particles of one state, simulated here), demo. A folder given by --work is kept and completed.
The data sets' folder is EMJAX_DATA, or shared/data beside the repository; absent ones are skipped.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from emjax.audit.rigid_body import RIGID_BODY_MOTION
from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_json, read_tsv
from emjax.io.labels.read import read_labels
from emjax.simulate import demo
from tests.campaigns import Place

ROOT = Path(__file__).resolve().parents[1]
SETS = ("spliceosome", "jittered", "null_small", "null", "demo")
N_NULL = 4000

missed: list[str] = []


def row(what: str, found: str, bar: str, good: bool) -> None:
    """Print one line of the table and remember a missed bar."""
    print(f"| {what} | {found} | {bar} | {'ok' if good else 'MISSED'} |", flush=True)
    if not good:
        missed.append(what)


def data_folder() -> Path:
    """Where the development data lie."""
    default = ROOT.parent / "shared" / "data"
    return Path(os.environ.get("EMJAX_DATA", default))


def particles_of(name: str, work: Path) -> tuple[Path, Path | None] | None:
    """Particles and solvent mask of a set; simulated ones are made where they are not yet there."""
    if name in ("null", "demo"):
        folder = work / "data" / name
        demo.FRACTIONS = np.ones(1) if name == "null" else np.array([0.4, 0.3, 0.2, 0.1])
        if not (folder / "particles.star").exists():
            demo.simulate_demo(folder, N_NULL)
        return folder / "particles.star", None
    folder = data_folder() / {"jittered": "spliceosome"}.get(name, name)
    file = "particles_jittered.star" if name == "jittered" else "particles.star"
    mask = folder / "solvent_mask.mrc"
    found = folder / file, mask if mask.exists() else None
    return found if found[0].exists() else None


def true_states(particles: Path) -> np.ndarray:
    """Number of every particle's state, by its row."""
    with (particles.parent / "truth.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda r: int(r["image_index"]))
    return np.unique([r["state"] for r in rows], return_inverse=True)[1]


def run_campaign(name: str, particles: Path, mask: Path | None, work: Path) -> CampaignFolder:
    """Run to the audit; the campaign's folder."""
    config = {
        "campaign": name,
        "particles": str(particles),
        "filter_resolution": 24,
        "masks": {"solvent": str(mask) if mask else "auto"},
        "runs": {"em3d": {"n_classes": [4], "seeds": 5}},
    }
    folder = CampaignFolder.of(name)
    target = str(folder.consensus.confounders)
    command = Place(work).command(config, "--quiet", "all", "--", target)
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: {done.stdout}{done.stderr}")
    return CampaignFolder.of(name, work)


def judge(name: str, truth: np.ndarray, folder: CampaignFolder) -> None:
    """Lines of the table for a finished campaign."""
    elbows = read_json(folder.consensus.elbows)
    classes = read_tsv(folder.consensus.stability)
    audit = read_tsv(folder.consensus.confounders)
    labels = read_labels(folder.consensus.particles.star)[1]
    runs = read_tsv(folder.runs_table)
    single = [
        adjusted_rand_score(truth, read_labels(folder.run(run).particles.star)[1])
        for run in runs["run"]
    ]
    best = single[int(runs["log_likelihood"].argmax())]
    flagged = bool(np.any(audit["flag"]))
    ari, flags = adjusted_rand_score(truth, labels), describe(audit)
    shown = f"{elbows['recommended']} ({elbows['verdict']})"
    if name in ("spliceosome", "demo"):
        row(f"{name}: classes recommended", shown, "4", elbows["recommended"] == 4)
        found = f"{ari:.3f} ({best:.3f}; all {', '.join(f'{s:.3f}' for s in single)})"
        what = "ARI of the consensus (of the run of best likelihood)"
        row(f"{name}: {what}", found, "no less", ari >= best - 0.005)
        row(f"{name}: audit", flags, "no flag", not flagged)
    elif name == "jittered":
        row(f"{name}: classes recommended", f"{shown}, ARI {ari:.3f}", "", True)
        row(f"{name}: audit", flags, "flags raised", flagged)
    else:
        significant = int(np.sum(np.asarray(classes["q_value"]) < 0.05))
        row(f"{name}: classes recommended", shown, "1", elbows["recommended"] == 1)
        row(f"{name}: classes with q < 0.05", str(significant), "0", significant == 0)


def describe(audit: pd.DataFrame) -> str:
    """The flags of an audit, and how much of the differences rigid-body motion explains."""
    share = audit.loc[audit["nuisance"] == RIGID_BODY_MOTION, "effect_size"]
    raised = audit.loc[audit["flag"].astype(bool), "nuisance"].value_counts()
    flags = ", ".join(f"{n} × {count}" for n, count in raised.items()) or "none"
    return f"flags: {flags}; share {share.min():.2f}–{share.max():.2f}"


def main() -> None:
    """Run the sets asked for."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit 1 where a bar is missed")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--work", type=Path, help="folder of the campaigns, kept")
    options = parser.parse_args()
    print("| what | found | bar | |\n| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work = (options.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for name in options.only:
            source = particles_of(name, work)
            if source is None:
                print(f"| {name} | skipped: no {data_folder().name} here | | |")
                continue
            judge(name, true_states(source[0]), run_campaign(name, *source, work))
    if options.check and missed:
        sys.exit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
