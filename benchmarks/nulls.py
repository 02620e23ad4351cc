"""One state, as a campaign sees it: poses exact, off by 2°, and off by as much with heavy tails.

Usage: python benchmarks/nulls.py [--check] [--draws N] [--first N] [--only POSES ...]
Every draw has its own poses and noise: 4000 particles, poses refined, seeds of em3d with four
classes, the subspace with two to four, consensus of each and of both. --check: exit 1 where any
of them finds more than one class, or held-out particles a continuum.
"""

import argparse
import sys
import time
from dataclasses import replace

import numpy as np
import outliers_sets as sets
import subspace_data as data
from accuracy_rows import Row, print_table
from scipy.spatial.transform import Rotation

from emjax.api import build_consensus, classify_em3d, classify_subspace, fit_variability
from emjax.classify.outliers import OutlierOptions, leave_out
from emjax.classify.pose_refinement import refine_poses
from emjax.consensus.options import ConsensusOptions
from emjax.imaging.prepare import Prepared, prepare

POSES = ("exact", "jittered", "student")
PARTICLES, EM3D_SEEDS, SUBSPACE_SEEDS = 4000, 4, 100
DEGREES, SHIFT = 2.0, 1.5


def one_state(poses: str, number: int) -> tuple[Prepared, np.ndarray]:
    """Particles of one state as a campaign prepares them, and their micrographs."""
    volume = data.true_maps()["full"][None]
    draw = data.draw_particles(volume, np.zeros(PARTICLES, int), 9000 + number)
    if poses == "jittered":
        draw = data.jitter(draw, DEGREES, SHIFT, 500 + number)
    if poses == "student":
        rng = np.random.default_rng(600 + number)
        # Three degrees of freedom have a variance of 3.
        errors = rng.standard_t(3, (PARTICLES, 5)) / np.sqrt(3)
        off = Rotation.from_rotvec(np.deg2rad(DEGREES / np.sqrt(3)) * errors[:, :3])
        rotations = draw.rotations @ off.as_matrix()
        draw = replace(draw, rotations=rotations, shifts=draw.shifts + SHIFT * errors[:, 3:])
    made = prepare(data.aligned(draw), sets.PREPARATION)
    made, _ = leave_out(made, OutlierOptions(), sets.PREPARATION)
    return refine_poses(made, "auto", sets.PREPARATION, draw.micrograph)[0], draw.micrograph


def judge(poses: str, number: int) -> dict[str, int]:
    """Classes found from each method's runs, and components of a continuum."""
    made, micrographs = one_state(poses, number)
    variability = fit_variability(made, micrographs=micrographs)
    em3d = classify_em3d(made, 4, EM3D_SEEDS)
    subspace = classify_subspace(made, [2, 3, 4], variability, SUBSPACE_SEEDS)
    found = {}
    for name, runs in (("em3d", em3d), ("subspace", subspace), ("both", em3d + subspace)):
        consensus = build_consensus(runs, ConsensusOptions(resamples=3), variability)
        found[name] = len(consensus.classes["size"])
    return found | {"components": variability.held_out.n_components}


def rows_of(poses: str, draws: range) -> list[Row]:
    """How many draws ended in one class, by method."""
    found = []
    for number in draws:
        before = time.process_time()
        found.append(judge(poses, number))
        seconds = time.process_time() - before
        print(f"{poses}, draw {number}: {found[-1]}, {seconds:.0f} CPU s", flush=True)
    rows = []
    for name in ("em3d", "subspace", "both"):
        ones = sum(one[name] == 1 for one in found)
        what = f"one state, {poses} poses: one class by {name}"
        rows.append(Row(what, f"{ones} of {len(found)}", "all", ones == len(found)))
    none = sum(one["components"] == 0 for one in found)
    what = f"one state, {poses} poses: no continuum"
    return [*rows, Row(what, f"{none} of {len(found)}", "all", none == len(found))]


def main() -> int:
    """Run the draws, print the table."""
    parser = argparse.ArgumentParser(description="One state stays one")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--only", nargs="*", choices=POSES, default=POSES)
    arguments = parser.parse_args()
    draws = range(arguments.first, arguments.first + arguments.draws)
    rows = [row for poses in arguments.only for row in rows_of(poses, draws)]
    return print_table(rows, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
