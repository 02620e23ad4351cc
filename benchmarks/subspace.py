"""Subspace campaigns beside RELION: accuracy, seeds at the optimum, classes chosen, CPU time.

Usage: python benchmarks/subspace.py [--check] [--quick] [--only NAME ...] [--save FILE]
Each set runs in a process of its own, so that its CPU seconds are those the system counted.
--quick: fewer seeds and draws. --check: exit 1 where a bar is missed.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from subspace_bars import bars

SETS = (
    "spliceosome", "jittered", "ligand", "ligand_jittered", "ligand_small", "five", "continuous",
    "contrast", "null", "em3d", "scaling", "relion",
)  # fmt: skip


def say(*words) -> None:
    """Progress, apart from the result on standard output."""
    print("  ", *words, file=sys.stderr, flush=True)


def judge_classes(case, pose_error: str, n_classes=(2, 3, 4)) -> dict:
    """What held-out particles say, without fitting all particles."""
    from emjax.classify.operators.pixels import make_pixel_operators
    from emjax.classify.subspace.analysis import judge_recipes
    from emjax.classify.subspace.recipes import SubspaceOptions

    options = SubspaceOptions(pose_error=pose_error, n_classes=tuple(n_classes))
    operators = make_pixel_operators(case.particles)
    solvent = case.mean.solvent_mask
    return summary(judge_recipes(operators, case.mean, solvent, options, case.micrograph))


def summary(judgement) -> dict:
    """The figures of a judgement."""
    evidence = judgement.chosen.evidence
    return {
        "basis": judgement.chosen.name,
        "components": evidence.components.chosen,
        "chosen": evidence.classes.chosen,
        "discrete": evidence.discrete_classes,
        "spread": evidence.spread and [evidence.spread.width, round(evidence.spread.gain.value)],
        "gains": [round(g.value) for g in evidence.classes.gains],
        "pose_scale": judgement.chosen.scale,
    }


def find_classes(
    case, pose_error: str, seeds: int, n_classes=(2, 3, 4, 5, 6), focus: str | None = None
) -> dict:
    """Analysis, campaigns of every number of classes, and how they compare with the truth."""
    from sklearn.metrics import adjusted_rand_score

    from emjax.classify.operators.pixels import make_pixel_operators
    from emjax.classify.subspace.analysis import analyse
    from emjax.classify.subspace.mixture import assign, fit_seeds
    from emjax.classify.subspace.optima import distinct_optima, information
    from emjax.classify.subspace.recipes import SubspaceOptions

    options = SubspaceOptions(pose_error=pose_error, n_classes=tuple(n_classes))
    operators = make_pixel_operators(case.particles)
    mask = case.mean.solvent_mask
    if focus:
        import subspace_data as data

        inside = data.read_volume(data.data_folder() / focus)[0]
        mask = mask * data.resample_mask(inside, case.particles.box_size)
    found = analyse(operators, case.mean, mask, options, case.micrograph, say)
    result = summary(found.judgement) | {
        "nuisance_components": [m["component"] for m in found.nuisance_modes if m["nuisance"]],
        "runs": {},
    }
    for k in sorted({*n_classes, result["chosen"]} - {1}):
        campaign = fit_seeds(found.statistics, k, range(seeds))
        best = [campaign.best()]
        labels = assign(found.statistics, campaign.coordinates[best], campaign.class_weights[best])
        optima = distinct_optima(campaign, information(found.statistics))
        result["runs"][k] = {
            "ari": round(float(adjusted_rand_score(case.truth, labels[:, 0])), 3),
            "at_optimum": len(optima[0].members) / seeds,
            "optima": len(optima),
        }
    return result


def name_nuisance() -> dict:
    """Components named as following the poses where these are taken as exact, and the truth."""
    import subspace_data as data
    from scipy.spatial.transform import Rotation
    from subspace_sets import draw_of

    from emjax.classify.operators.pixels import make_pixel_operators
    from emjax.classify.subspace.analysis import analyse
    from emjax.classify.subspace.recipes import SubspaceOptions
    from emjax.classify.subspace.statistics import latent_means

    exact, wrong = (draw_of(name) for name in ("ligand", "ligand_jittered"))
    mask = data.read_volume(data.data_folder() / "spliceosome" / "solvent_mask.mrc")[0]
    case = data.prepare(wrong, mask)
    operators, solvent = make_pixel_operators(case.particles), case.mean.solvent_mask
    options = SubspaceOptions(
        (2,), pose_error="off", regions=False, within_classes=False, evidence_seeds=5
    )
    found = analyse(operators, case.mean, solvent, options, case.micrograph, say)
    # The error of each pose in the map's frame, to first and second order.
    rotations = Rotation.from_matrix(
        np.swapaxes(exact.rotations, 1, 2) @ wrong.rotations
    ).as_rotvec()
    shifts = np.einsum("nij,ni->nj", wrong.rotations[:, :2], wrong.shifts - exact.shifts)
    error = np.concatenate(
        [rotations / rotations.std(), shifts / shifts.std(), np.ones((len(rotations), 1))], 1
    )
    design = (error[:, :, None] * error[:, None])[:, *np.tril_indices(error.shape[1])]
    z = latent_means(found.statistics)
    rest = z - design @ np.linalg.lstsq(design, z, rcond=None)[0]
    return {
        "named": [int(m["component"]) for m in found.nuisance_modes if m["nuisance"]],
        "gain_left": [
            round(m["gain_marginalised"] / m["gain_exact"], 2) for m in found.nuisance_modes
        ],
        "explained_by_true_error": (1 - rest.var(0) / z.var(0)).round(2).tolist(),
    }


def judge_em3d(case, n_classes=(2, 3, 4, 5, 6), seeds: int = 2) -> dict:
    """Held-out evidence for full maps, as campaigns of em3d have it."""
    from emjax.classify.em3d.held_out import fit_halves, judge_maps
    from emjax.classify.em3d.options import Em3dOptions
    from emjax.classify.em3d.state import make_scene
    from emjax.classify.operators.pixels import make_pixel_operators

    before = cpu_seconds()
    scene = make_scene(case.mean.volume, case.mean.solvent_mask)
    options, mean = Em3dOptions(), np.asarray(scene.mean_map * scene.solvent_mask)
    fits = fit_halves(case.particles, scene, n_classes, seeds, options, case.micrograph)
    found = judge_maps(make_pixel_operators(case.particles), fits, mean, case.micrograph)
    return {
        "chosen": found.classes.chosen,
        "gains": [round(g.value) for g in found.classes.gains],
        "reason": found.classes.reason,
        "pose_error": found.pose_error and round(found.pose_error.shift, 2),
        "cpu": round(cpu_seconds() - before),
    }


def run_set(name: str, quick: bool) -> dict | None:
    """Everything measured on one set, in this process."""
    if name == "scaling":
        return scaling(quick)
    if name == "relion":
        return run_relion(quick)
    from subspace_sets import case_of, null_cases

    if name == "em3d":
        cases = {name: case_of(name) for name in ("spliceosome", "jittered")}
        cases |= {f"one state, {poses} poses": case for poses, case in null_cases(0)}
        return {what: judge_em3d(case) for what, case in cases.items()}
    seeds = 200 if quick else 1000
    before = cpu_seconds()
    if name == "null":
        numbers: dict[str, list[int]] = {"exact": [], "jittered": []}
        for seed in range(2 if quick else 20):
            for poses, case in null_cases(seed):
                found = judge_classes(case, "auto")
                say(f"null {seed}, {poses}, {cpu_seconds() - before:.0f} CPU s: {found}")
                numbers[poses].append(found["discrete"])
        return numbers | {"cpu": cpu_seconds() - before}
    case = case_of(name)
    before = cpu_seconds()
    result = find_classes(case, "auto", seeds)
    result["cpu"] = cpu_seconds() - before
    if name == "continuous":
        others = [judge_classes(case_of(name, seed), "auto", range(2, 7)) for seed in (100, 200)]
        result["other_draws"] = others
    if name == "ligand_jittered":
        result["poses_as_exact"] = name_nuisance()
    if name == "ligand_small":
        result["focus"] = find_classes(case, "auto", seeds, focus="ligand_small/focus_mask.mrc")
    if name == "spliceosome" and result["pose_scale"]:
        # With a width of zero, auto and off are the same computation.
        before = cpu_seconds()
        result["off"] = find_classes(case, "off", seeds)
        result["off"]["cpu"] = cpu_seconds() - before
    return result


def cpu_seconds() -> float:
    """User and system time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def scaling(quick: bool) -> dict:
    """Seconds and memory of 1000 seeds × K = 4 in 8 components with synthetic statistics."""
    from emjax.classify.subspace.mixture import fit_seeds
    from emjax.classify.subspace.statistics import Statistics, pack

    result = {}
    for n in (100_000,) if quick else (100_000, 1_000_000):
        rng = np.random.default_rng(0)
        features = np.empty((n, 44), np.float32)
        z = rng.normal(size=(4, 8)).astype(np.float32)
        for start in range(0, n, 50_000):
            design = rng.normal(size=(50_000, 12, 8)).astype(np.float32) * np.sqrt(2 / 12)
            own = z[rng.integers(4, size=50_000)]
            quadratic = np.swapaxes(design, 1, 2) @ design
            noise = rng.normal(size=(50_000, 12, 1)).astype(np.float32)
            linear = (quadratic @ own[..., None] + np.swapaxes(design, 1, 2) @ noise)[..., 0]
            features[start : start + 50_000] = pack(linear, quadratic)
        statistics = Statistics(features, np.zeros(n), 8)
        seeds = 1000
        clock, before = time.monotonic(), cpu_seconds()
        campaign = fit_seeds(statistics, 4, range(seeds))
        result[n] = {
            "seconds": round(time.monotonic() - clock, 1),
            "cpu": round(cpu_seconds() - before, 1),
            "iterations": int(campaign.iterations.sum()) // seeds,
            "converged": float(campaign.converged.mean()),
            "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
    return result


def run_relion(quick: bool) -> dict | None:
    """RELION's run of 25 iterations on the spliceosome; None where it is not installed."""
    import relion
    import subspace_data as data
    from sklearn.metrics import adjusted_rand_score

    if not relion.found():
        return None
    folder, iterations = data.data_folder() / "spliceosome", 5 if quick else 25
    mask = folder / "solvent_mask.mrc"
    labels, cpu = relion.classify(folder, "particles.star", 4, mask, iterations=iterations)
    truth = data.read_case("spliceosome").truth
    ari = round(float(adjusted_rand_score(truth, labels)), 3)
    return {"ari": ari, "cpu": cpu * 25 / iterations}


def main() -> int:
    """Run the sets, print the table."""
    parser = argparse.ArgumentParser(description="Subspace campaigns beside RELION")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--one", choices=SETS, help=argparse.SUPPRESS)
    parser.add_argument("--save", help="JSON file to keep results in, and to add to")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_set(arguments.one, arguments.quick), default=float))
        return 0
    kept = Path(arguments.save) if arguments.save else None
    results = json.loads(kept.read_text()) if kept and kept.exists() else {}
    for name in arguments.only:
        command = [sys.executable, __file__, "--one", name] + ["--quick"] * arguments.quick
        print(f"{name} …", flush=True)
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        last = output.strip().splitlines()[-1]
        print(last, flush=True)
        results[name] = json.loads(last)
        if kept:
            kept.write_text(json.dumps(results))
    rows = bars(results)
    print("\n| bar | measured | |\n| --- | --- | --- |")
    for what, figure, holds in rows:
        print(f"| {what} | {figure} | {'holds' if holds else 'MISSED'} |")
    return int(arguments.check and not all(holds for *_, holds in rows))


if __name__ == "__main__":
    sys.exit(main())
