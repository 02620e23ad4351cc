"""Accuracy of 3D classification without alignment (em3d), beside RELION run in the same call.

Usage: python benchmarks/accuracy.py [--check] [--quick] [--only NAME ...] [--save FILE]
--quick: fewer seeds, and the small sets. --check: exit 1 where a bar is missed.
The data sets are found as in subspace_data.py; without RELION its rows are left out, said aloud.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SETS = ("spliceosome", "ligand", "null", "maps", "symmetry", "jittered")


class Row(NamedTuple):
    """A line of the table; `holds` is None where there is no bar."""

    what: str
    found: str
    bar: str = ""
    holds: bool | None = None


def classify_case(case, n_classes: int, seeds, focus=None, **options):
    """Results of all seeds of one number of classes, and the CPU seconds they took together."""
    from emjax.classify.em3d.iterations import classify
    from emjax.classify.em3d.options import Em3dOptions
    from emjax.classify.em3d.state import Run, make_scene
    from emjax.classify.operators.passes import make_engine
    from emjax.imaging.masks import resample_mask

    inside = None if focus is None else resample_mask(focus, case.particles.box_size)
    scene = make_scene(case.mean.volume, case.mean.solvent_mask, inside)
    before = time.process_time()
    runs = [Run(n_classes, seed) for seed in seeds]
    results = classify(make_engine(case.particles), scene, runs, Em3dOptions(**options))
    return results, time.process_time() - before


def agreement(case, results) -> list[float]:
    """ARI of each result with the truth."""
    from sklearn.metrics import adjusted_rand_score

    return [float(adjusted_rand_score(case.truth, r.labels)) for r in results]


def relion_row(
    name: str, folder: Path, star: str, truth: np.ndarray, mask: Path, n_classes: int, quick: bool
) -> list[Row]:
    """RELION's row of a set."""
    import relion

    if not relion.found():
        return [Row(f"{name}: RELION", "not installed")]
    labels, cpu = relion.classify(folder, star, n_classes, mask, iterations=5 if quick else 25)
    from sklearn.metrics import adjusted_rand_score

    ari = adjusted_rand_score(truth, labels)
    return [Row(f"{name}: RELION, seed 1, pad 1", f"ARI {ari:.3f}, {cpu:.0f} CPU s")]


def said(values: list[float]) -> str:
    """Figures of all seeds."""
    return ", ".join(f"{v:.3f}" for v in values)


def spliceosome(quick: bool) -> list[Row]:
    """Four states, every start; a share of the seeds must find them."""
    import subspace_data as data

    case, place = data.read_case("spliceosome"), data.data_folder() / "spliceosome"
    fine = data.read_case("spliceosome", resolution=14.0)
    rows, seeds = [], range(3 if quick else 10)
    at_once = {"start_resolution": None}
    for particles, name, options, bar in (
        (case, "variability", {"initial": "variability"}, 9),
        (case, "simple", {}, 6),
        (case, "simple, all frequencies at once", at_once, None),
        (case, "pca", {"initial": "pca"}, None),
        (fine, "14 Å, simple", {}, None),
        (fine, "14 Å, simple, all frequencies at once", at_once, None),
    ):
        results, cpu = classify_case(particles, 4, seeds, **options)
        ari = agreement(case, results)
        good = sum(a >= 0.98 for a in ari)
        wanted = bar and round(bar * len(ari) / 10)
        best = ari[int(np.argmax([r.log_likelihood for r in results]))]
        rows.append(
            Row(
                f"spliceosome, {name}: seeds of ARI ≥ 0.98",
                f"{good} of {len(ari)} ({said(ari)}); likeliest {best:.3f}; {cpu:.0f} CPU s",
                f"≥ {wanted}" if wanted else "",
                good >= wanted if wanted else None,
            )
        )
        print(rows[-1], flush=True)
    mask = place / "solvent_mask.mrc"
    return rows + relion_row("spliceosome", place, "particles.star", case.truth, mask, 4, quick)


def jittered(quick: bool) -> list[Row]:
    """Poses off by 2° and 0.25 px: full EM follows the error, as RELION does."""
    import subspace_data as data

    star, place = "particles_jittered.star", data.data_folder() / "spliceosome"
    case = data.read_case("spliceosome", star)
    results, cpu = classify_case(case, 4, range(2 if quick else 3), initial="variability")
    found = f"{said(agreement(case, results))}; oracle 0.90; {cpu:.0f} CPU s"
    row = Row("jittered, variability: ARI (pose error is for subspace)", found)
    mask = place / "solvent_mask.mrc"
    return [row, *relion_row("jittered", place, star, case.truth, mask, 4, quick)]


def ligand(quick: bool) -> list[Row]:
    """A state that lacks 1.2 % of the mass, without and with a focus mask around it."""
    import relion
    import subspace_data as data

    place = data.data_folder() / "ligand_small"
    mask, focus = (data.read_volume(place / f"{m}_mask.mrc")[0] for m in ("solvent", "focus"))
    rows, n = [], 2000 if quick else 6000
    with tempfile.TemporaryDirectory() as scratch:
        maps = data.true_maps()
        states = data.mixed_states([70, 30], n, 1)
        draw = data.draw_particles(np.stack([maps["full"], maps["ligand"]]), states, 101)
        case = data.prepare(draw, mask)
        patient = {"switch_convergence": 0.0, "rms_convergence": 0.0}
        for name, region, bar, options in (
            ("no focus mask, variability", None, 0.65, {"initial": "variability"}),
            ("no focus mask, simple, all 25 iterations", None, 0.65, patient),
            ("no focus mask, simple", None, None, {}),
            ("focus mask, variability", focus, 0.75, {"initial": "variability"}),
            ("focus mask, simple", focus, 0.75, {}),
        ):
            results, cpu = classify_case(case, 2, range(3), region, **options)
            ari = agreement(case, results)
            likeliest = ari[int(np.argmax([r.log_likelihood for r in results]))]
            rows.append(
                Row(
                    f"ligand ({n}), {name}: ARI of the likeliest seed",
                    f"{likeliest:.3f} (all: {said(ari)}); {cpu:.0f} CPU s",
                    f"≥ {bar}" if bar else "",
                    likeliest >= bar if bar else None,
                )
            )
            print(rows[-1], flush=True)
        relion.write_set(Path(scratch), draw)
        rows += relion_row(
            f"ligand ({n})",
            Path(scratch),
            "particles.star",
            case.truth,
            place / "solvent_mask.mrc",
            2,
            quick,
        )
    return rows


def null(quick: bool) -> list[Row]:
    """One state, K = 4: no class may survive the consensus's significance."""
    import subspace_data as data

    from emjax.consensus.build import build_consensus

    mask = data.read_volume(data.data_folder() / "spliceosome" / "solvent_mask.mrc")[0]
    full = data.true_maps()["full"][None]
    cases = {"null_small (1000)": data.read_case("null_small", mask=False)}
    if not quick:
        draw = data.draw_particles(full, np.zeros(4000, int), 1000)
        cases["null (4000)"] = data.prepare(draw, mask)
    rows = []
    for name, case in cases.items():
        for initial in ("simple", "variability"):
            results, cpu = classify_case(case, 4, range(5), initial=initial)
            judged = held_out_choice(case, 4, initial)
            agreed, held = (
                len(
                    build_consensus(
                        np.stack([r.labels for r in results], 1),
                        [f"em3d-K04-s{r.seed:03d}" for r in results],
                        [r.posteriors for r in results],
                        log_likelihood=np.array([r.log_likelihood for r in results]),
                        run_groups=["em3d"] * len(results),
                        max_classes_supported=limit,
                    ).classes["class"]
                )
                for limit in (None, judged)
            )
            rows.append(
                Row(
                    f"{name}, K = 4, {initial}: classes of the consensus of 5 seeds",
                    f"{held}; by agreement alone {agreed}; {cpu:.0f} CPU s",
                    "1",
                    held == 1,
                )
            )
            print(rows[-1], flush=True)
    return rows


def held_out_choice(case, n_classes: int, initial: str) -> int:
    """Number of classes that held-out particles ask for, as a campaign judges it."""
    from emjax.classify.em3d.held_out import fit_halves, judge_maps
    from emjax.classify.em3d.options import Em3dOptions
    from emjax.classify.em3d.state import make_scene
    from emjax.classify.operators.pixels import make_pixel_operators

    scene = make_scene(case.mean.volume, case.mean.solvent_mask)
    options, blocks = Em3dOptions(initial=initial), np.asarray(case.micrograph).astype(str)
    fits = fit_halves(case.particles, scene, [n_classes], 2, options, blocks)
    mean = np.asarray(scene.mean_map * scene.solvent_mask)
    found = judge_maps(make_pixel_operators(case.particles), fits, mean, blocks)
    return found.classes.chosen


def maps(quick: bool) -> list[Row]:
    """FSC of class maps against the true states, beside relion_reconstruct from true members."""
    import relion
    import subspace_data as data

    if not relion.found():
        return [Row("maps: RELION", "not installed")]
    from emjax.imaging.fsc import volume_fsc
    from emjax.imaging.grids import resample
    from emjax.imaging.reconstruct import reconstruct
    from emjax.io.mrc.stack import ImageStacks
    from emjax.io.particles.particle_set import read_particles

    place = data.data_folder() / "spliceosome"
    case, table = data.read_case("spliceosome"), read_particles(place / "particles.star")
    results, _ = classify_case(case, 4, range(2 if quick else 5), initial="variability")
    best = max(results, key=lambda r: r.log_likelihood)
    mask = data.read_volume(place / "solvent_mask.mrc")[0]
    size, radius, box = case.particles.box_size, case.particles.radius, len(mask)
    spectrum = case.particles.noise_power
    noise = np.pad(spectrum, ((0, 0), (0, box // 2 - spectrum.shape[1])), mode="edge")
    rows = []
    for k in range(4):
        truth = data.read_volume(place / f"true_state_{k}.mrc")[0] * mask
        theirs = relion.reconstruct(place, "particles.star", case.truth == k) * mask
        own = int(np.bincount(best.labels[case.truth == k], minlength=4).argmax())
        members = np.flatnonzero(best.labels == own)
        part, prepared = table.select(members), case.particles.take(members)
        ours = reconstruct(
            ImageStacks(part).read,
            part.rotations,
            part.shifts,
            prepared.ctf,
            prepared.scale,
            prepared.group,
            prepared.half,
            noise,
            box,
            part.pixel_size,
            mask,
        ).volume
        at_filter = (resample(v, size) for v in (truth, theirs))
        # The last shell of the class map lies half beyond the filter resolution.
        for name, found, (true, bar), last in (
            ("map of the run", best.maps[own], at_filter, radius - 1),
            ("full-box map of its members", ours * mask, (truth, theirs), box // 2 - 2),
        ):
            fsc, theirs_fsc = (volume_fsc(v, true)[1 : last + 1] for v in (found, bar))
            worst = float((fsc / theirs_fsc).min())
            rows.append(
                Row(
                    f"state {k + 1} ({(case.truth == k).sum()}), {name}: FSC to the truth",
                    f"mean {fsc.mean():.3f}, relion_reconstruct {theirs_fsc.mean():.3f};"
                    f" worst of {last} shells {worst:.3f} of its",
                    "≥ 0.9 of it",
                    worst >= 0.9,
                )
            )
    return rows


def symmetry(quick: bool) -> list[Row]:
    """Symmetric phantoms of two states, every pose moved into one asymmetric unit."""
    import subspace_data as data

    from emjax.classify.em3d.iterations import classify
    from emjax.classify.em3d.options import Em3dOptions
    from emjax.classify.em3d.state import Run, make_scene
    from emjax.classify.operators.passes import make_engine
    from emjax.imaging.fsc import volume_fsc
    from emjax.imaging.grids import resample
    from emjax.imaging.symmetry import expand_poses, symmetry_rotations
    from emjax.simulate.particles import simulate

    axis = np.arange(48) - 24
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    blobs = [
        np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * 2.5**2))
        for a, b, c in ((1.2, 7.3, 12.0), (4.0, -1.3, 6.8))
    ]
    rows = []
    for name, n in (("C4", 1000), ("I1", 500)):
        rotations = symmetry_rotations(name)
        outer, inner = (np.mean([rotate(blob, r) for r in rotations], 0) for blob in blobs)
        # The second state lacks the inner domains.
        pair = np.stack([outer + inner, outer]).astype(np.float32)
        made = simulate(pair, n, seed=2, snr=0.5)
        copies = expand_poses(made.rotations, name)[0].reshape(n, -1, 3, 3)
        # The views nearest to one direction.
        nearest = (copies[:, :, 2] @ np.array([0.48, 0.36, 0.8])).argmax(1)
        poses = copies[np.arange(n), nearest]
        draw = data.Draw(made.images, poses, made.shifts, made.ctf, made.states, made.micrograph)
        found = {}
        for group in ("C1", name):
            case = data.prepare(draw, None, group)
            scene = make_scene(case.mean.volume, case.mean.solvent_mask)
            runs = [Run(2, seed) for seed in range(2 if quick else 5)]
            results = classify(
                make_engine(case.particles), scene, runs, Em3dOptions(symmetry=group)
            )
            best = max(results, key=lambda r: r.log_likelihood)
            mask, size = case.mean.solvent_mask, case.particles.box_size
            truth = np.stack([resample(v, size) for v in pair]) * mask
            radius = case.particles.radius
            own = [
                int(np.bincount(best.labels[case.truth == k], minlength=2).argmax()) for k in (0, 1)
            ]
            fsc = [volume_fsc(best.maps[c], t)[1 : radius + 1].mean() for c, t in zip(own, truth)]
            rotated = rotate(best.maps[0], rotations[-1])
            found[group] = {
                "ari": agreement(case, [best])[0],
                "fsc": float(np.mean(fsc)),
                "same": float(np.corrcoef(rotated.ravel(), best.maps[0].ravel())[0, 1]),
            }
        on, off = found[name], found["C1"]
        rows.append(
            Row(
                f"{name}, {n} particles seen from one unit: FSC of class maps to the truth",
                f"{on['fsc']:.3f}, ARI {on['ari']:.3f} (in C1 {off['fsc']:.3f}, {off['ari']:.3f})",
                "above C1's",
                on["fsc"] > off["fsc"],
            )
        )
        rows.append(
            Row(
                f"{name}: correlation of a class map with itself rotated",
                f"{on['same']:.4f} (in C1 {off['same']:.4f})",
                "≥ 0.99",
                on["same"] >= 0.99,
            )
        )
    return rows


def rotate(volume: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """V(R·r) by cubic interpolation; volumes have axes z, y, x."""
    from scipy.ndimage import affine_transform

    matrix = rotation[::-1, ::-1]
    centre = np.full(3, volume.shape[0] // 2)
    return affine_transform(volume, matrix, centre - matrix @ centre, order=3)


def main() -> int:
    """Run the sets, print the table."""
    parser = argparse.ArgumentParser(description="Accuracy of em3d beside RELION")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--save", help="JSON file to keep rows in, and to add to")
    arguments = parser.parse_args()
    kept = Path(arguments.save) if arguments.save else None
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept and kept.exists() else {}
    for name in arguments.only:
        print(f"{name} …", flush=True)
        rows[name] = globals()[name](arguments.quick)
        if kept:
            kept.write_text(json.dumps(rows))
    table = [Row(*row) for name in SETS if name in rows for row in rows[name]]
    print("\n| what | found | bar | |\n| --- | --- | --- | --- |")
    for what, found, bar, holds in table:
        print(
            f"| {what} | {found} | {bar} | {'' if holds is None else 'ok' if holds else 'MISSED'} |"
        )
    return int(arguments.check and any(row.holds is False for row in table))


if __name__ == "__main__":
    sys.exit(main())
