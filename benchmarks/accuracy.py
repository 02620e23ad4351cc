"""Accuracy of 3D classification without alignment (em3d), beside RELION run in the same call.

Usage: python benchmarks/accuracy.py [--check] [--quick] [--only NAME ...] [--save FILE]
--quick: fewer seeds, and the small sets. --check: exit 1 where a bar is missed.
The data sets are found as in subspace_data.py; without RELION its rows are left out, said aloud.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_rows import Row, agreement, classify_case, print_table, relion_row, said
from accuracy_symmetry import symmetry

SETS = ("spliceosome", "ligand", "null", "maps", "symmetry", "jittered")


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
    sets = {s.__name__: s for s in (spliceosome, ligand, null, maps, symmetry, jittered)}
    for name in arguments.only:
        print(f"{name} …", flush=True)
        rows[name] = sets[name](arguments.quick)
        if kept:
            kept.write_text(json.dumps(rows))
    table = [Row(*row) for name in SETS if name in rows for row in rows[name]]
    return print_table(table, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
