"""Poses that are off: how far they are refined, and what every method gains by it.

Beside em3d's seeds, the subspace and the consensus of both: the oracle, which knows the true maps,
and RELION's Class3D.

Usage: python benchmarks/poses.py [--check] [--quick] [--only SET ...]
--quick: three seeds instead of ten. --check: exit 1 where a bar is missed. Sets are found as in
subspace_data.py; those that are not there are left out, said aloud.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import outliers_sets as sets
import relion
from accuracy_rows import Row, print_table
from sklearn.metrics import adjusted_rand_score

from emjax.api import (
    build_consensus,
    classify_em3d,
    classify_subspace,
    fit_variability,
    reconstruct,
    taking_part,
)
from emjax.classify.classification import Classification
from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.outliers import OutlierOptions, leave_out
from emjax.classify.pose_refinement import refine_poses
from emjax.classify.subspace.polish import polish
from emjax.imaging.fsc import volume_fsc
from emjax.imaging.grids import resample
from emjax.imaging.maps import slicing_values
from emjax.imaging.prepare import Prepared, prepare

SETS = {
    "exact": ("spliceosome", "particles.star"),
    "jittered": ("spliceosome", "particles_jittered.star"),
    "realistic_exact": ("realistic", "particles.star"),
    "realistic_refined": ("realistic", "particles_refined.star"),
    "null_exact": ("realistic_null", "particles.star"),
    "null_refined": ("realistic_null", "particles_refined.star"),
}
LESS = 0.8  # of the error that came in, which may be left
N_CLASSES = 4


def rows_of(name: str, seeds: int) -> list[Row]:
    """Error before and after, and classes with and without refined poses."""
    judged = sets.read_set(*SETS[name])
    made = prepare(judged.images, sets.PREPARATION)
    made, found = leave_out(made, OutlierOptions(), sets.PREPARATION)
    assert judged.table is not None
    blocks = judged.table.micrograph
    # Refining centres the images in place: what is compared with it is made anew.
    start = time.process_time()
    refined, poses = refine_poses(made, "auto", sets.PREPARATION, blocks)
    cost = {"poses": time.process_time() - start, "seeds": float(seeds)}
    used = (refined.particles.weight > 0) & ~judged.junk
    given = np.array(judged.images.rotations)
    given[found.recovered] = found.found.rotations[found.certain]
    others = used & (sets.angles(judged.rotations, given) < sets.FAR)
    error = _error(judged.rotations, refined.particles.rotations, others)
    rows = []
    if "exact" in name:
        rows.append(Row(f"{name}: pose error found", str(poses.width), "none", not poses.width))
    else:
        before = _error(judged.rotations, given, others)
        said = f"{before:.2f}° → {error:.2f}° of {others.sum()}, {len(found.recovered)} found again"
        said += f", {(used & ~others).sum()} more than {sets.FAR:g}° off left"
        bar = f"≤ {LESS:g} of what came in"
        rows.append(Row(f"{name}: rms error", said, bar, error <= LESS * before))
        rows += _lost(name, judged, refined)
    if "null" in name or ("exact" in name and not poses.width):
        return rows
    again = as_given = prepare(judged.images, sets.PREPARATION)
    folder = sets.data.data_folder() / SETS[name][0]
    again, _ = leave_out(again, OutlierOptions(), sets.PREPARATION)
    for kind, one, what in (("as given", again, "plain"), ("refined", refined, "em3d")):
        start = time.process_time()
        runs = classify_em3d(one, N_CLASSES, seeds)
        cost[what] = time.process_time() - start
        rows += _classes(f"{name}, {kind}", folder, one, runs, judged, used)
    rows += maps(name, folder, judged, as_given, refined)
    return rows + class3d(name, folder, judged, used, cost)


def _lost(name: str, judged: sets.Judged, refined: Prepared) -> list[Row]:
    """Good particles that came with a wrong pose, and those set aside."""
    kept = refined.particles.weight > 0
    near = kept & (sets.angles(judged.rotations, refined.particles.rotations) < sets.FOUND)
    aside = float(np.mean(~kept[~judged.junk]))
    rows = [Row(f"{name}: good particles set aside", f"{aside:.2%}", "≤ 3 %", aside <= 0.03)]
    if not judged.lost.any():
        return rows
    found = float(np.mean(near[judged.lost]))
    said = f"{found:.1%} of {judged.lost.sum()}"
    what = f"{name}: off by > {sets.FAR:g}°, within {sets.FOUND:g}° after"
    return [*rows, Row(what, said, "≥ 70 %", found >= 0.7)]


def _error(true: np.ndarray, given: np.ndarray, used: np.ndarray) -> float:
    """Root mean square, in degrees."""
    return float(np.sqrt(np.mean(sets.angles(true, given)[used] ** 2)))


def _classes(
    what: str,
    folder: Path,
    prepared: Prepared,
    runs: list[Classification],
    judged: sets.Judged,
    used: np.ndarray,
) -> list[Row]:
    """em3d's seeds, the subspace and the consensus of both, beside the oracle."""

    def ari(labels: np.ndarray) -> float:
        both = used & (labels >= 0)
        return float(adjusted_rand_score(judged.truth[both], labels[both]))

    assert judged.table is not None
    variability = fit_variability(prepared, micrographs=judged.table.micrograph)
    inside = classify_subspace(prepared, [2, 3, 4, 5, 6], variability, 200)
    full, sub = [ari(run.labels) for run in runs], ari(inside[2].labels)
    found = build_consensus([*runs, *inside], variability=variability)
    likeliest = max(runs, key=lambda run: run.log_likelihood or -np.inf)
    settled, best = ari(found.labels), max(ari(likeliest.labels), sub)
    oracle = ari(oracle_labels(folder, judged, prepared))
    said = f"em3d {min(full):.3f} … {max(full):.3f} of {len(runs)} seeds, subspace {sub:.3f}"
    said += f", consensus {settled:.3f} in {len(found.classes['size'])} classes"
    said += f", oracle {oracle:.3f}"
    if "refined" not in what.rsplit(", ", 1)[1]:
        return [Row(f"{what}: ARI", said)]
    good = bool(np.mean(np.array(full) >= sub - 0.02) >= 0.9)
    return [
        Row(f"{what}: ARI", said, "9 of 10 seeds ≥ subspace − 0.02", good),
        Row(
            f"{what}: consensus beside the likeliest run",
            f"{settled - best:+.3f}",
            "≥ −0.003",
            settled >= best - 0.003,
        ),
    ]


def oracle_labels(folder: Path, judged: sets.Judged, prepared: Prepared) -> np.ndarray:
    """The most probable of the true maps for each particle at the poses of a preparation."""
    rows, particles = taking_part(prepared)
    grid = particles.grid
    paths = sorted(folder.glob("true_state_*.mrc"))
    maps = np.stack([resample(sets.data.read_volume(p)[0], grid.box_size) for p in paths])
    mask = np.asarray(prepared.mean.solvent_mask)
    shares = np.bincount(judged.truth[judged.truth >= 0], minlength=len(maps)).astype(float)
    mean = np.tensordot(shares / shares.sum(), maps, 1) * mask
    # The images are in units of their own.
    maps *= np.sum(mean * prepared.mean.volume * mask) / np.sum(mean**2)
    operators = make_pixel_operators(particles)
    values = slicing_values(jnp.asarray(maps, jnp.float32), grid)
    found = polish(operators, values, shares / shares.sum(), mask, 0)
    labels = np.full(prepared.particles.n, -1)
    labels[rows] = found.posteriors.argmax(1)
    return labels


def maps(
    name: str, folder: Path, judged: sets.Judged, made: Prepared, refined: Prepared
) -> list[Row]:
    """Maps of the true members of each state beside the truth, at poses as given and refined.

    Their FSC is above 0.143 up to Nyquist both ways, so that its mean is compared.
    """
    assert judged.table is not None
    mask = sets.data.read_volume(folder / "solvent_mask.mrc")[0]
    found: dict[str, list[float]] = {"given": [], "refined": []}
    for state in range(judged.truth.max() + 1):
        true = sets.data.read_volume(folder / f"true_state_{state}.mrc")[0]
        members = np.flatnonzero((judged.truth == state) & (refined.particles.weight > 0))
        for poses, one in (("given", made), ("refined", refined)):
            volume = reconstruct(judged.table, one, members).volume
            curve = volume_fsc(volume * mask, true * mask)
            found[poses].append(float(curve[1 : len(mask) // 2].mean()))
    said = [f"{poses} " + " ".join(f"{v:.3f}" for v in own) for poses, own in found.items()]
    better = all(b > a for a, b in zip(found["given"], found["refined"], strict=True))
    what = f"{name}: mean FSC to Nyquist of each state's map with the truth"
    return [Row(what, "; ".join(said), "better for every state", better)]


def class3d(
    name: str, folder: Path, judged: sets.Judged, used: np.ndarray, cost: Mapping[str, float]
) -> list[Row]:
    """RELION's own classification of the same file, and what both cost."""
    ours = f"poses {cost['poses']:.0f} s once, {cost['seeds']:.0f} seeds of em3d"
    ours += f" {cost['em3d']:.0f} s with them and {cost['plain']:.0f} s without"
    ratio = cost["em3d"] / cost["plain"]
    rows = [Row(f"{name}: CPU", ours, "em3d ≤ 2 × without", ratio <= 2)]
    if not relion.found():
        return [*rows, Row(f"{name}: RELION Class3D", "left out: not installed")]
    star, mask = SETS[name][1], folder / "solvent_mask.mrc"
    labels, cpu = relion.classify(folder, star, N_CLASSES, mask)
    ari = adjusted_rand_score(judged.truth[used], labels[used])
    times = cpu * cost["seeds"] / (cost["poses"] + cost["em3d"])
    said = f"ARI {ari:.3f}, {cpu:.0f} CPU s, {times:.0f} × ours a seed, poses included"
    return [*rows, Row(f"{name}: RELION Class3D, one seed", said, "≥ 30 ×", times >= 30)]


def main() -> int:
    """Run the sets, print the table."""
    parser = argparse.ArgumentParser(description="Poses that are off")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=list(SETS), default=list(SETS))
    arguments = parser.parse_args()
    table = []
    for name in arguments.only:
        if not sets.there(SETS[name][0]):
            table.append(Row(name, f"left out: {SETS[name][0]} not found"))
            continue
        before = time.process_time()
        table += rows_of(name, 3 if arguments.quick else 10)
        print(f"{name}: {time.process_time() - before:.0f} CPU s", flush=True)
    return print_table(table, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
