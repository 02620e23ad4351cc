"""Makes campaign folders with the files of the contract, as a finished campaign leaves them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_tsv, write_json, write_tsv
from emjax.io.mrc.references import write_averages
from emjax.io.mrc.volume import read_volume, write_volume
from emjax.report.campaign import Campaign
from emjax.report.page import render_report
from emjax.report.run_page import RunPages
from tests.report.consensus_files import blob, state_map, write_consensus


def labels_of_runs(
    truth: np.ndarray, classes: list[int], noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Labels [n, r] (1-based): the truth split or merged into K classes, some at random."""
    columns = []
    for k in classes:
        labels = truth % k
        for extra in range(truth.max() + 1, k):  # over-split: halve one of the true groups
            source = np.flatnonzero(labels == extra % (truth.max() + 1))
            labels[source[rng.random(source.size) < 0.5]] = extra
        wrong = rng.random(truth.size) < noise
        labels = np.where(wrong, rng.integers(0, k, truth.size), labels)
        columns.append(rng.permutation(k)[labels] + 1)
    return np.stack(columns, 1)


def make_campaign(
    folder: Path,
    *,
    n_states: int = 4,
    n_particles: int = 2000,
    seeds: int = 3,
    class_numbers: tuple[int, ...] = (4, 6),
    box: int = 32,
    noise: float = 0.05,
    kind: str = "states",
    stack: str = "data/particles.mrcs",
    seed: int = 0,
) -> Path:
    """A finished campaign; `kind` is states, null (nothing found) or jittered (pose error)."""
    rng = np.random.default_rng(seed)
    groups = 1 if kind == "null" else n_states
    weights = np.arange(2 * groups, groups, -1, float)
    truth = rng.choice(groups, n_particles, p=weights / weights.sum())
    runs = [(k, s) for k in class_numbers for s in range(seeds)]
    names = [f"em3d-K{k:02d}-s{s:03d}" for k, s in runs]
    labels = labels_of_runs(truth, [k for k, _ in runs], noise, rng)
    if kind == "null":
        labels[:] = np.where(rng.random(labels.shape) < 0.97, 1, labels)
    _write_prepare(folder, n_particles, box, rng)
    _write_runs(folder, runs, names, labels, rng)
    write_consensus(folder, names, labels, truth, box, kind, stack, rng)
    return folder


def _write_prepare(folder: Path, n: int, box: int, rng: np.random.Generator) -> None:
    meta = {
        "emjax_version": "0.1.0",
        "box_size": box,
        "pixel_size": 6.0,
        "cropped_box_size": box,
        "voxel_size": 6.0,
        "filter_resolution": 24.0,
        "n_particles": n,
        "input_checksum": "0f" * 32,
    }
    write_json(folder / "prepare/prepare.json", meta)
    write_volume(folder / "prepare/mean_map.mrc", state_map(box, 0, rng), 6.0)
    frequency = np.arange(1, box // 2) / (box * 6.0)
    noise = pd.DataFrame(
        {
            "resolution": 1 / frequency,
            "frequency_per_angstrom": frequency,
            "optics_group": 1,
            "power": 1 + 4 * np.exp(-frequency * 60),
            "mean_fsc": 1 / (1 + (frequency * 15) ** 8),
        }
    )
    write_tsv(folder / "prepare/noise.tsv", noise)


def _write_runs(
    folder: Path, runs: list, names: list[str], labels: np.ndarray, rng: np.random.Generator
) -> None:
    rows = []
    for (k, s), name, column in zip(runs, names, labels.T, strict=True):
        history, n = [], len(column)
        before, order = rng.integers(0, k, n), rng.random(n)
        for i in range(1, 15):
            # Ever more particles are where they end.
            now = np.where(order < np.exp(-i / 3), before, column - 1)
            flow = np.bincount(before * k + now, minlength=k * k).reshape(k, k)
            sizes, before = flow.sum(axis=0), now
            history.append(
                {
                    "iteration": i,
                    "stage": "coarse" if i < 6 else "full",
                    "log_likelihood": 10 - 3 * np.exp(-i / 3) + 0.02 * s,
                    "class_similarity": max(0.0, 0.5 * (1 - (i - 1) / 10)),
                    "switched": float(np.exp(-i / 3)),
                    "rms_change": float(0.4 * np.exp(-i / 4)),
                    "class_sizes": sizes.tolist(),
                    "class_mass": sizes.astype(float).tolist(),
                    "flow": flow.tolist() if i > 1 else [],
                    "ess_histogram": (n * np.exp(-np.arange(10) * i / 8)).astype(int).tolist(),
                }
            )
        meta = {
            "emjax_version": "0.1.0",
            "method": "em3d",
            "n_classes": k,
            "log_likelihood": 10 + 0.02 * s + 0.01 * k,
            "options": {"n_classes": k, "full_iterations": 25, "switch_convergence": 0.02},
            "seed": s,
            "input_checksum": "0f" * 32,
            "devices": ["TFRT_CPU_0"],
            "history": history,
            "converged": True,
        }
        write_json(folder / f"runs/{name}/metrics.json", meta)
        posteriors = np.full((n, k), 0.08 / (k - 1), np.float32)
        posteriors[np.arange(n), column - 1] = 0.92
        np.save(folder / f"runs/{name}/posteriors.npy", posteriors)
        rows.append(
            {
                "run": name,
                "method": "em3d",
                "n_classes": k,
                "seed": s,
                "iterations": 14,
                "converged": True,
                "log_likelihood": meta["log_likelihood"],
                "seconds": 41.0 + s,
            }
        )
    write_tsv(folder / "runs.tsv", pd.DataFrame(rows))


def add_run_maps(folder: Path, name: str, parts: tuple[str, ...] = ("", "half1", "half2")) -> None:
    """Maps of a run's classes that are those of the consensus class that holds most of each."""
    run, consensus = CampaignFolder(folder).run(name), CampaignFolder(folder).consensus
    labels = np.load(run.posteriors).argmax(axis=1)
    truth = Campaign(CampaignFolder(folder), {}).particles["rlnClassNumber"].astype(int)
    tables = []
    for k in range(labels.max() + 1):
        partner = int(np.bincount(truth[labels == k]).argmax())
        for part in parts:
            volume, voxel_size = read_volume(consensus.class_map(partner, part))
            write_volume(run.class_map(k + 1, part), volume, voxel_size)
        tables.append(read_tsv(consensus.class_fsc(partner)).assign(**{"class": k + 1}))
    if "half1" in parts:
        write_tsv(run.fsc, pd.concat(tables))


def render_run(folder: Path, name: str) -> str:
    """The page of a run."""
    runs = read(folder).run_names()
    return RunPages(CampaignFolder(folder), runs).render(name)


def read_config(folder: Path, **changes) -> dict:
    """The config the campaign would have been run with."""
    config = {
        "campaign": folder.name,
        "particles": "data/particles.star",
        "filter_resolution": 24,
        "runs": {"em3d": {"n_classes": [4, 6], "seeds": 3}},
        "consensus": {"metric": "cosine", "min_class_size": 0, "fdr": 0.05, "n_classes": "auto"},
    }
    return json.loads(json.dumps(config | changes))


def render(folder: Path, **changes) -> str:
    """The page of a campaign."""
    return render_report(CampaignFolder(folder), read_config(folder, **changes))


def read(folder: Path) -> Campaign:
    """What the report reads of a campaign."""
    return Campaign(CampaignFolder(folder), read_config(folder))


def add_map(folder: Path, side: int = 4, name: str = "som-4x4-s000") -> None:
    """A self-organising map of images beside the other runs."""
    rng = np.random.default_rng(1)
    nodes = side * side
    row, col = np.divmod(np.arange(nodes), side)
    table = pd.DataFrame(
        {
            "node": np.arange(nodes) + 1,
            "row": row,
            "column": col,
            "x": col.astype(float),
            "y": row.astype(float),
            "size": rng.integers(0, 90, nodes),
            "mass": 40.0,
            "neighbour_distance": rng.random(nodes),
            "mean_defocus": rng.normal(15000, 800, nodes),
            "mean_rlnCtfMaxResolution": 3.0 + col,
            "mean_rlnCtfFigureOfMerit": rng.random(nodes),
        }
    )
    write_tsv(folder / f"runs/{name}/nodes.tsv", table)
    images = np.stack([blob(16, (0, 0, c / 20), 0.2)[8] for c in col])
    facts = {"rlnClassNumber": np.arange(nodes) + 1}
    for kind in ("class_averages", "code_vectors"):
        write_averages(folder / f"runs/{name}/{kind}.mrcs", images, 6.0, facts)
    explained = {"rlnCtfMaxResolution": 0.7, "rlnCtfFigureOfMerit": 0.02, "defocus": 0.4}
    shape = {"columns": side, "rows": side}
    meta = {"method": "som", "topographic_error": 0.08, "map": shape, "explained": explained}
    write_json(folder / f"runs/{name}/metrics.json", meta)
    if (folder / "runs.tsv").exists():
        own = pd.DataFrame([{"run": name, "method": "som"}])
        write_tsv(folder / "runs.tsv", pd.concat([read_tsv(folder / "runs.tsv"), own]))


def add_subspace(folder: Path, best: int = 3, n: int = 200, states: int | None = None) -> None:
    """A subspace campaign of 60 seeds for each of 2 to 5 classes; fewer states, a continuum."""
    rng = np.random.default_rng(2)
    here = folder / "runs/subspace"
    k = np.arange(2, 6)
    gain = 900.0 - 300 * (k - best) ** 2 if best > 1 else -100.0 * k
    chosen = gain[k == best][0] if best in k else 0.0
    curve = pd.DataFrame({"n_classes": k})
    for name, value, width in (("gain", gain, 80), ("difference", gain - chosen, 30)):
        error = width * (value != 0)
        curve = curve.assign(
            **{name: value, f"{name}_low": value - error, f"{name}_high": value + error}
        )
    if best == 1:
        none = dict.fromkeys(curve.columns, 0.0) | {"n_classes": 1}
        curve = pd.concat([pd.DataFrame([none]), curve], ignore_index=True)
    write_tsv(here / "evidence.tsv", curve)
    gains = [{"value": v, "low": v - 5.0, "high": v + 5.0} for v in (400.0, 90.0, -20.0)]
    beside = [
        {"value": v, "low": v - e, "high": v + e} for v, e in ((-400.0, 9), (0.0, 0), (-110.0, 9))
    ]
    choice = {
        "numbers": [1, 2, 3], "gains": gains, "differences": beside, "chosen": 2,
        "reason": "the third loses.",
    }  # fmt: skip
    evidence = {
        "verdict": f"{best} classes raise the held-out likelihood",
        "discrete_classes": best if states is None else states,
        "classes": {"chosen": best, "reason": f"{best} gain most."},
        "components": choice,
        "pose_error": {"rotation_degrees": 1.2, "shift_angstrom": 1.5},
        "nuisance_modes": [{"component": 1, "nuisance": 1.0}, {"component": 2, "nuisance": 0.0}],
    }
    write_json(here / "evidence.json", evidence)
    np.save(here / "coordinates.npy", rng.normal(size=(n, 3)).astype("f4"))
    optimum = np.tile(np.r_[np.full(48, 1), np.full(9, 2), np.full(3, 3)], 4)
    seeds = pd.DataFrame(
        {
            "n_classes": np.repeat(k, 60),
            "seed": np.tile(np.arange(60), 4),
            "log_likelihood": 2 - 0.1 * optimum + 0.05 * np.repeat(k, 60),
            "optimum": optimum,
        }
    )
    write_tsv(here / "likelihood.tsv", seeds)
