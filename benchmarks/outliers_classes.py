"""Classes, occupancies and maps of sets with outliers, with and without setting these aside.

Poses are refined as a campaign does, both ways.
"""

from dataclasses import dataclass

import numpy as np
import outliers_sets as sets
import subspace_data as data
from accuracy_rows import Row
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from emjax.api import classify_em3d, classify_subspace, fit_variability, reconstruct
from emjax.classify.pose_refinement import refine_poses
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.prepare import Prepared
from emjax.resolution import resolution_at

N_CLASSES, SEEDS = 4, 3
NO_WORSE = 0.005  # of ARI, FSC or occupancy, by which equal results may differ


@dataclass(frozen=True)
class Quality:
    """How near a classification is to the truth; of the good particles."""

    ari: float  # of those that both ways of preparing keep
    ari_of_all: float  # with those set aside as a class of their own
    occupancy: float  # half of the summed difference to the true fractions
    fsc: list[float]  # mean of each state's map against the truth, up to the filter resolution
    resolution: list[float]  # Å, where that FSC is 0.5; of the full box

    def said(self) -> str:
        """In a cell of the table."""
        fsc = " ".join(f"{value:.3f}" for value in self.fsc)
        at = " ".join(f"{value:.1f}" for value in self.resolution)
        return (
            f"ARI {self.ari:.3f} ({self.ari_of_all:.3f} of all), occupancy off by"
            f" {self.occupancy:.3f}, FSC {fsc}, 0.5 at {at} Å"
        )


def classes(quick: bool) -> list[Row]:
    """em3d and subspace of four classes, junk: off beside auto in one call."""
    cases = [("realistic", "particles_refined.star")]
    if not quick:
        cases += [("realistic", "particles.star"), ("spliceosome", "particles.star")]
    rows = []
    for folder, star in cases:
        name = f"{folder}, refined" if "refined" in star else folder
        found = compare(folder, star)
        for method, (without, with_) in found.items():
            worse = [
                with_.ari < without.ari - NO_WORSE,
                with_.occupancy > without.occupancy + NO_WORSE,
                any(a < b - NO_WORSE for a, b in zip(with_.fsc, without.fsc, strict=True)),
            ]
            words = ("ARI", "occupancies", "maps")
            bad = [word for word, is_bad in zip(words, worse, strict=True) if is_bad]
            bar = f"never worse{': ' + ', '.join(bad) + ' are' if bad else ''}"
            rows.append(Row(f"{name}, {method}, K = 4, off", without.said()))
            rows.append(Row(f"{name}, {method}, K = 4, auto", with_.said(), bar, not bad))
    return rows


def compare(folder: str, star: str) -> dict[str, tuple[Quality, Quality]]:
    """Each method without and with what is set aside."""
    judged = sets.read_set(folder, star)
    labels: dict[str, list[np.ndarray]] = {"em3d": [], "subspace": []}
    prepared = []
    for rate in (0.0, 0.05):
        one = sets.prepare_set(judged, rate)[0]
        blocks = None if judged.table is None else judged.table.micrograph
        one, _ = refine_poses(one, "auto", sets.PREPARATION, blocks)
        runs = classify_em3d(one, N_CLASSES, SEEDS)
        labels["em3d"].append(max(runs, key=lambda run: run.log_likelihood or -np.inf).labels)
        assert judged.table is not None
        micrographs = judged.table.micrograph
        variability = fit_variability(one, micrographs=micrographs)
        found = classify_subspace(one, [N_CLASSES], variability, 200)
        labels["subspace"].append(found[0].labels)
        prepared.append(one)
    kept = prepared[1].particles.weight > 0
    return {
        method: (
            judge(folder, judged, prepared[0], off, kept),
            judge(folder, judged, prepared[1], auto, kept),
        )
        for method, (off, auto) in labels.items()
    }


def judge(
    folder: str, judged: sets.Judged, prepared: Prepared, labels: np.ndarray, kept: np.ndarray
) -> Quality:
    """A classification beside the truth."""
    truth, good = judged.truth, ~judged.junk
    both = good & kept
    table = np.zeros((N_CLASSES, N_CLASSES))
    used = good & (labels >= 0)
    np.add.at(table, (truth[used], labels[used]), 1)
    states, own = linear_sum_assignment(-table)
    sizes = np.bincount(labels[labels >= 0], minlength=N_CLASSES)[own]
    true_sizes = np.bincount(truth[good], minlength=N_CLASSES)[states]
    off = np.abs(sizes / sizes.sum() - true_sizes / true_sizes.sum()).sum() / 2
    place = data.data_folder() / folder
    mask = data.read_volume(place / "solvent_mask.mrc")[0]
    assert judged.table is not None
    fsc, resolution = [], []
    for state, label in zip(states, own, strict=True):
        members = np.flatnonzero(labels == label)
        volume = reconstruct(judged.table, prepared, members).volume
        true = data.read_volume(place / f"true_state_{state}.mrc")[0]
        curve = volume_fsc(volume * mask, true * mask)
        extent = len(mask) * data.PIXEL_SIZE
        fsc.append(float(curve[1 : int(extent / data.RESOLUTION) + 1].mean()))
        resolution.append(float(resolution_at(curve, extent, 0.5)))
    return Quality(
        float(adjusted_rand_score(truth[both], labels[both])),
        float(adjusted_rand_score(truth[good], labels[good])),
        float(off),
        fsc,
        resolution,
    )
