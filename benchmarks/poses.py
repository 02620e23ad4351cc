"""Poses that are off: how far they are refined, and what em3d's seeds and the subspace gain by it.

Usage: python benchmarks/poses.py [--check] [--quick] [--only SET ...]
--quick: three seeds instead of ten. --check: exit 1 where a bar is missed. Sets are found as in
subspace_data.py; those that are not there are left out, said aloud.
"""

import argparse
import sys
import time

import numpy as np
import outliers_sets as sets
from accuracy_rows import Row, print_table
from sklearn.metrics import adjusted_rand_score

from emjax.api import classify_em3d, classify_subspace
from emjax.classify.outliers import OutlierOptions, leave_out
from emjax.classify.pose_refinement import refine_poses
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
    refined, poses = refine_poses(made, "auto", sets.PREPARATION, blocks)
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
    if "null" in name or ("exact" in name and not poses.width):
        return rows
    again = prepare(judged.images, sets.PREPARATION)
    again, _ = leave_out(again, OutlierOptions(), sets.PREPARATION)
    for kind, one in (("as given", again), ("refined", refined)):
        rows.append(_classes(f"{name}, {kind}", one, judged, used, seeds))
    return rows


def _error(true: np.ndarray, given: np.ndarray, used: np.ndarray) -> float:
    """Root mean square, in degrees."""
    return float(np.sqrt(np.mean(sets.angles(true, given)[used] ** 2)))


def _classes(
    what: str, prepared: Prepared, judged: sets.Judged, used: np.ndarray, seeds: int
) -> Row:
    def ari(labels: np.ndarray) -> float:
        return float(adjusted_rand_score(judged.truth[used], labels[used]))

    full = [ari(run.labels) for run in classify_em3d(prepared, N_CLASSES, seeds)]
    assert judged.table is not None
    micrographs = judged.table.micrograph
    inside = ari(classify_subspace(prepared, [N_CLASSES], 200, micrographs=micrographs)[0].labels)
    said = f"em3d {min(full):.3f} … {max(full):.3f} of {seeds} seeds, subspace {inside:.3f}"
    if "refined" not in what.rsplit(", ", 1)[1]:
        return Row(f"{what}: ARI", said)
    good = np.mean(np.array(full) >= inside - 0.02) >= 0.9
    return Row(f"{what}: ARI", said, "9 of 10 seeds ≥ subspace − 0.02", bool(good))


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
