"""Makes campaign folders with the files of the contract, as a finished campaign leaves them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage

from emjax.campaign.folder import CampaignFolder
from emjax.io.files import write_json, write_tsv
from emjax.io.mrc.references import write_averages
from emjax.io.mrc.volume import write_volume
from emjax.io.star.tables import StarFile, make_table, write_star
from emjax.report.campaign import Campaign
from emjax.report.page import render_report

TRACE = " & "


def blob(box: int, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """A soft ball; centre and radius as fractions of the box."""
    axis = (np.arange(box) - box // 2) / box
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    distance = np.sqrt(
        (z - centre[0]) ** 2 + 1.4 * (y - centre[1]) ** 2 + 0.7 * (x - centre[2]) ** 2
    )
    return 1 / (1 + np.exp((distance - radius) * box / 1.5))


def state_map(box: int, state: int, rng: np.random.Generator) -> np.ndarray:
    """A particle of three lobes; each state lacks or gains one more."""
    body = blob(box, (0, 0, 0), 0.22) + blob(box, (0.15, 0.1, 0), 0.14)
    body += 0.8 * blob(box, (-0.1, 0.05, 0.17), 0.12)
    angle = 2.399 * state
    extra = blob(box, (0.2 * np.cos(angle), 0.2 * np.sin(angle), 0.1), 0.08)
    return (np.minimum(body, 1.3) + extra + 0.03 * rng.normal(size=body.shape)).astype("f4")


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
    _write_consensus(folder, names, labels, truth, box, kind, stack, rng)
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
        final = np.bincount(column, minlength=k + 1)[1:]
        for i in range(1, 15):
            sizes = np.maximum(final * (1 - np.exp(-i / 3)) + n / k * np.exp(-i / 3), 0)
            history.append(
                {
                    "iteration": i,
                    "log_likelihood": 10 - 3 * np.exp(-i / 3) + 0.02 * s,
                    "class_similarity": max(0.0, 0.5 * (1 - (i - 1) / 10)),
                    "switched": float(np.exp(-i / 3)),
                    "rms_change": float(0.4 * np.exp(-i / 4)),
                    "class_sizes": sizes.astype(int).tolist(),
                    "class_mass": sizes.tolist(),
                    "ess_histogram": (n * np.exp(-np.arange(10) * i / 8)).astype(int).tolist(),
                }
            )
        flow = np.diag(final) + 3
        meta = {
            "emjax_version": "0.1.0",
            "options": {"n_classes": k, "full_iterations": 25},
            "seed": s,
            "input_checksum": "0f" * 32,
            "devices": ["TFRT_CPU_0"],
            "history": history,
            "flow": [flow.tolist()] * 3,
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
                "log_likelihood": 10 + 0.02 * s + 0.01 * k,
                "seconds": 41.0 + s,
            }
        )
    write_tsv(folder / "runs.tsv", pd.DataFrame(rows))


def _write_consensus(
    folder: Path,
    names: list[str],
    labels: np.ndarray,
    truth: np.ndarray,
    box: int,
    kind: str,
    stack: str,
    rng: np.random.Generator,
) -> None:
    keys, inverse, sizes = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(-sizes)
    keys, sizes = keys[order], sizes[order]
    owner = np.array(
        [
            np.bincount(truth[inverse.ravel() == g], minlength=truth.max() + 1).argmax()
            for g in order
        ]
    )
    kept = sizes >= 2
    q = np.where(sizes > 20, 10.0 ** -(sizes / 20).clip(0, 40), 0.8)
    if kind == "null":
        q[1:] = 0.6
    expected = np.maximum(rng.gamma(2, 2, sizes.size), 0.01)
    table = pd.DataFrame(
        {
            "id": np.arange(1, sizes.size + 1),
            "trace": [TRACE.join(f"{n}.{c}" for n, c in zip(names, k, strict=True)) for k in keys],
            "size": sizes,
            "expected_size": expected,
            "p_value": q / 2,
            "q_value": q,
            "relative_size": sizes / expected,
            "xmipp_size_p": 0.1,
            "xmipp_relative_p": 0.1,
            "kept": kept,
            "consensus_class": np.where(kept, owner + 1, 0),
            "representative": f"{names[0]}.1",
        }
    )
    write_tsv(folder / "consensus/intersections.tsv", table)
    onehot = np.concatenate(
        [keys[kept][:, [r]] == np.arange(1, 7) for r in range(keys.shape[1])], axis=1
    )
    points = onehot + owner[kept][:, None] * 0.01
    tree = linkage(points, "average", metric="cosine") if kept.sum() > 1 else np.zeros((0, 4))
    np.save(folder / "consensus/linkage.npy", tree)
    assigned = truth + 1
    stability = np.clip(rng.beta(18, 2, truth.size) - 0.3 * (truth == 3), 0, 1)
    _write_classes(folder, names, assigned, stability, box, kind, rng)
    path = [f"{i + 1:06d}@{stack}" for i in range(truth.size)]
    star = make_table(
        "particles",
        {
            "rlnImageName": path,
            "rlnMicrographName": [stack] * truth.size,
            "rlnClassNumber": assigned,
            "rlnMaxValueProbDistribution": stability,
            "emjaxStability": stability,
            "emjaxClassPosterior": stability,
        },
    )
    write_star(folder / "consensus/particles.star", StarFile((star,)))
    agree = rng.uniform(0.8, 0.97, (len(names), len(names)))
    rows = [
        {
            "run": a,
            "other": b,
            "ari": agree[min(i, j), max(i, j)] if i != j else 1.0,
            "ami": agree[min(i, j), max(i, j)] ** 1.1 if i != j else 1.0,
        }
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]
    write_tsv(folder / "consensus/agreement.tsv", pd.DataFrame(rows))


def _write_classes(
    folder: Path,
    names: list[str],
    assigned: np.ndarray,
    stability: np.ndarray,
    box: int,
    kind: str,
    rng: np.random.Generator,
) -> None:
    n, numbers = assigned.size, range(1, assigned.max() + 1)
    rows, nuisance = [], []
    for c in numbers:
        size = int((assigned == c).sum())
        rows.append(
            {
                "class": c,
                "size": size,
                "mass": size * 0.97,
                "occupancy": size / n,
                "occupancy_low": size / n - 0.02,
                "occupancy_high": size / n + 0.02,
                "mean_stability": stability[assigned == c].mean(),
                "recovered": 0.93,
                "q_value": 0.4 if kind == "null" else 1e-12,
                "representative": f"{names[0]}.{c}",
            }
        )
        for name in ("viewing_direction", "defocus", "micrograph", "optics_group"):
            hit = kind == "jittered" and name == "viewing_direction"
            nuisance.append(
                {
                    "class": c,
                    "nuisance": name,
                    "effect_size": 0.45 if hit else 0.02,
                    "p_value": 1e-9 if hit else 0.5,
                    "q_value": 1e-8 if hit else 0.6,
                }
            )
        for suffix in ("", "_half1", "_half2"):
            volume = state_map(box, c, rng)
            write_volume(folder / f"consensus/class_{c:03d}{suffix}.mrc", volume, 6.0)
        frequency = np.arange(1, box // 2) / (box * 6.0)
        fsc = 1 / (1 + (frequency * (15 + c)) ** 8) + 0.02 * rng.normal(size=frequency.size)
        write_tsv(
            folder / f"consensus/class_{c:03d}_fsc.tsv",
            pd.DataFrame(
                {
                    "resolution": 1 / frequency,
                    "frequency_per_angstrom": frequency,
                    "fsc": fsc,
                }
            ),
        )
    write_tsv(folder / "consensus/stability.tsv", pd.DataFrame(rows))
    write_tsv(folder / "consensus/confounders.tsv", pd.DataFrame(nuisance))
    recommended = len(rows)
    write_json(
        folder / "consensus/elbows.json",
        {
            "profile_likelihood": recommended + 1,
            "origin": recommended + 2,
            "distance_line": recommended + 1,
            "slope": recommended + 5,
            "recommended": recommended,
            "chosen": recommended,
            "reasons": ["Resampled runs agree best at this number."],
        },
    )


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


def add_subspace(folder: Path, best: int = 3, n: int = 200, states: int | None = None) -> None:
    """A subspace campaign of 60 seeds for each of 2 to 5 classes; fewer states, a continuum."""
    rng = np.random.default_rng(2)
    here = folder / "runs/subspace"
    k = np.arange(2, 6)
    gain = 900.0 - 300 * (k - best) ** 2 if best > 1 else -100.0 * k
    curve = pd.DataFrame(
        {"n_classes": k, "gain": gain, "gain_low": gain - 80, "gain_high": gain + 80}
    )
    write_tsv(here / "evidence.tsv", curve)
    gains = [{"value": v, "low": v - 5.0, "high": v + 5.0} for v in (400.0, 90.0, -20.0)]
    choice = {"numbers": [1, 2, 3], "gains": gains, "chosen": 2, "reason": "the third loses."}
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
