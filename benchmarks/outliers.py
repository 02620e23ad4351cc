"""Particles that fit nothing: how many are found, how many good ones go with them, what it helps.

Usage: python benchmarks/outliers.py [--check] [--quick] [--only NAME ...] [--save FILE]
--quick: the small sets alone. --check: exit 1 where a bar is missed. Sets are found as in
subspace_data.py; those that are not there are left out, said aloud.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import outliers_sets as sets
from accuracy_rows import Row, print_table
from outliers_classes import classes
from outliers_sets import Judged, percent, share
from scipy.stats import binom, fisher_exact

from emjax.classify.outliers import AUTO_RATE, POSE, Outliers


def realistic(quick: bool) -> list[Row]:
    """Junk, wrong poses and good particles, with poses that are true and refined ones."""
    rows = []
    for folder in ("realistic_null",) if quick else ("realistic", "realistic_null"):
        for star in ("particles.star", "particles_refined.star"):
            poses = "refined poses" if "refined" in star else "true poses"
            judged = sets.read_set(folder, star)
            _, found = sets.prepare_set(judged)
            rows += shares(f"{folder}, {poses}", judged, found)
    return rows


def shares(name: str, judged: Judged, found: Outliers) -> list[Row]:
    """What is set aside of junk, good particles and lost ones, and where these were found."""
    aside, rows = found.reason != "", []
    junk, good, lost = (share(aside, which) for which in (judged.junk, judged.good, judged.lost))
    n = judged.junk.sum()
    rows.append(Row(f"{name}: junk ({n}) set aside", percent([junk]), "≥ 97 %", junk >= 0.97))
    count = f"{good:.2%} of {judged.good.sum()}"
    rows.append(Row(f"{name}: good particles set aside", count, "≤ 1.5 %", good <= 0.015))
    wrong = share(judged.good, aside)
    rows.append(Row(f"{name}: good ones of those set aside (rate 5 %)", percent([wrong])))
    if judged.lost.sum() >= 20:
        count = f"{percent([lost])} of {judged.lost.sum()}"
        rows.append(Row(f"{name}: poses off by > 15° named", count, "≥ 80 %", lost >= 0.8))
        rows.append(recovery(name, judged, found))
    return rows


def recovery(name: str, judged: Judged, found: Outliers) -> Row:
    """How near the truth the poses are that were found for lost particles."""
    rows = found.rows[found.certain]
    own = judged.lost[rows]
    error = sets.angles(judged.rotations[rows], found.found.rotations[found.certain])[own]
    right = share(error < sets.FOUND, np.ones(len(error), bool))
    named = share(found.reason == POSE, judged.lost)
    result = f"{percent([right])} of {len(error)} ({percent([named])} of the lost), median"
    bar = "≥ 90 % within 5°"
    what = f"{name}: poses found for lost particles"
    return Row(what, f"{result} {np.median(error):.1f}°", bar, right >= 0.9)


def clean(quick: bool) -> list[Row]:
    """Sets without junk: nothing is to be set aside."""
    named = {"null_small": ("particles.star",), "ligand_small": ("particles.star",)}
    if not quick:
        named["spliceosome"] = ("particles.star", "particles_jittered.star")
    cases = [(f, star) for f, stars in named.items() for star in stars]
    rows = []
    for folder, star in cases:
        if sets.there(folder):
            name = f"{folder}, jittered poses" if "jittered" in star else folder
            rows.append(nothing(name, sets.read_set(folder, star)))
    if not quick and sets.there("spliceosome"):
        rows.append(nothing("five states", sets.five_states()))
    return rows


def nothing(name: str, judged: Judged) -> Row:
    """Row of a set of which all particles are good."""
    aside = sets.prepare_set(judged)[1].reason != ""
    found = f"{aside.mean():.2%} of {len(aside)}"
    return Row(f"{name}, no junk: set aside", found, "≤ 0.5 %", aside.mean() <= 0.005)


def rare(quick: bool) -> list[Row]:
    """A state of 3 %, with and without junk beside it: its particles stay like the others."""
    cases = {"phantom and 6 % noise": (sets.rare_phantom(), 1)}
    if not quick:
        truth = sets.states_of("spliceosome")
        for state, name in ((3, "−Snu114"), (1, "−U2Sm")):
            rows = sets.with_one_rare(truth, state)
            cases[f"spliceosome, {name}"] = sets.read_set("spliceosome", rows=rows), state
        truth = sets.states_of("realistic")
        rows = sets.with_one_rare(truth, 2)
        star = "particles_refined.star"
        cases["realistic, −U2Sm−LSm, refined"] = sets.read_set("realistic", star, rows), 2
    table = []
    for name, (judged, state) in cases.items():
        aside = sets.prepare_set(judged)[1].reason != ""
        own, others = (judged.good & (judged.truth == state)), judged.good & (judged.truth != state)
        counts = [[aside[of].sum(), (~aside[of]).sum()] for of in (own, others)]
        p = fisher_exact(counts, alternative="greater")[1]
        found = f"{counts[0][0]} of {own.sum()}, others {counts[1][0]} of {others.sum()}; p {p:.2g}"
        table.append(Row(f"{name}: 3 % state set aside", found, "p > 0.01", p > 0.01))
    return table


def signal(quick: bool) -> list[Row]:
    """Weaker signal: junk is found less and less, good particles are lost no more."""
    rows = []
    folder = "realistic_null" if quick else "realistic"
    for factor in (2, 5, 10):
        judged = sets.weaker(sets.read_set(folder, "particles_refined.star"), factor)
        rows += within_rate(f"{folder}, refined, SNR / {factor}", judged)
    for factor in () if quick else (2, 5, 10):
        judged = sets.weaker(sets.read_set("spliceosome"), factor)
        rows.append(nothing(f"spliceosome, SNR / {factor}", judged))
    return rows


def mixed(quick: bool) -> list[Row]:
    """A fifth and two fifths of junk."""
    folder, star = "realistic_null" if quick else "realistic", "particles_refined.star"
    rows = []
    for part in (0.2, 0.4):
        chosen = sets.with_junk(sets.states_of(folder), part)
        judged = sets.read_set(folder, star, chosen)
        name = f"{folder}, refined, {part:.0%} junk of {len(chosen)}"
        rows += within_rate(name, judged, True)
    return rows


def within_rate(name: str, judged: Judged, all_of_it: bool = False) -> list[Row]:
    """Good ones among those set aside, which the rate limits; junk and lost ones found."""
    found = sets.prepare_set(judged)[1]
    aside = found.reason != ""
    count, n = int((judged.good & aside).sum()), int(aside.sum())
    limit = int(binom.ppf(0.975, n, AUTO_RATE))  # 5 %, and the chance of a sample of this size
    of_all = share(aside, judged.good)
    result = f"{count} of {n} ({of_all:.2%} of the good ones)"
    apart = f"; separation {found.calibration.separation:.1f}"
    rows = [
        Row(f"{name}: good ones of those set aside", result + apart, f"≤ {limit}", count <= limit)
    ]
    junk, lost = share(aside, judged.junk), share(aside, judged.lost)
    bar = ("≥ 97 % of junk", junk >= 0.97) if all_of_it else ("", None)
    return [*rows, Row(f"{name}: junk, lost set aside", percent([junk, lost]), *bar)]


def calibration(quick: bool) -> list[Row]:
    """Other rates: the fraction of good ones among those set aside follows what is asked for."""
    rows = []
    for rate in () if quick else (0.01, 0.1):
        judged = sets.read_set("realistic", "particles_refined.star")
        found = sets.prepare_set(judged, rate)[1]
        aside = found.reason != ""
        count, n = int((judged.good & aside).sum()), int(aside.sum())
        limit = int(binom.ppf(0.975, n, rate))
        what = f"realistic, refined, rate {rate:.0%}: good ones of those set aside"
        rows.append(Row(what, f"{count} of {n}", f"≤ {limit}", count <= limit))
    return rows


NEEDED = {
    "realistic": ("realistic", "realistic_null"),
    "rare": ("realistic", "spliceosome"),
    "signal": ("realistic", "realistic_null", "spliceosome"),
    "mixed": ("realistic", "realistic_null"),
    "calibration": ("realistic",),
    "classes": ("realistic", "spliceosome"),
}
PARTS = (realistic, clean, rare, signal, mixed, calibration, classes)


def main() -> int:
    """Run the parts, print the table."""
    parser = argparse.ArgumentParser(description="Particles that fit nothing")
    names = [part.__name__ for part in PARTS]
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--save", help="JSON file to keep rows in, and to add to")
    arguments = parser.parse_args()
    kept = Path(arguments.save) if arguments.save else None
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept and kept.exists() else {}
    for part in PARTS:
        name = part.__name__
        if name not in arguments.only:
            continue
        missing = [folder for folder in NEEDED.get(name, ()) if not sets.there(folder)]
        if missing:
            rows[name] = [Row(name, f"left out: {', '.join(missing)} not found")]
            continue
        print(f"{name} …", flush=True)
        before = time.process_time()
        rows[name] = part(arguments.quick)
        print(f"{name}: {time.process_time() - before:.0f} CPU s", flush=True)
        for row in rows[name]:
            print(row, flush=True)
        if kept:
            kept.write_text(json.dumps(rows, default=bool))
    table = [Row(*row) for name in names if name in rows for row in rows[name]]
    return print_table(table, arguments.check)


if __name__ == "__main__":
    sys.exit(main())
