"""Files of the consensus and its classes, as a finished campaign leaves them."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage

from emjax.io.files import write_json, write_tsv
from emjax.io.mrc.volume import write_volume
from emjax.io.star.tables import StarFile, make_table, write_star

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


def write_consensus(
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
        [keys[kept][:, [r]] == np.arange(1, labels.max() + 1) for r in range(keys.shape[1])], axis=1
    )
    points = onehot + owner[kept][:, None] * 0.01
    tree = linkage(points, "average", metric="cosine") if kept.sum() > 1 else np.zeros((0, 4))
    np.save(folder / "consensus/linkage.npy", tree)
    assigned = truth + 1
    stability = np.clip(rng.beta(18, 2, truth.size) - 0.1 * (truth == 3), 0, 1)
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
                "resampled": 1.0,
                "q_value": 0.4 if kind == "null" else 1e-12,
                "significant": kind != "null",
                "nearest": 2 if c == 1 else 1,
                "held_out_gain": 400.0,
                "held_out_low": 350.0,
                "held_out_high": 450.0,
                "distinct": True,
                "distinct_by": "images",
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
