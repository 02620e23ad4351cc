"""Lines of the table of accuracy, and what they are made of."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """A line of the table; `holds` is None where there is no bar."""

    what: str
    found: str
    bar: str = ""
    holds: bool | None = None


def print_table(rows: Sequence[Row], check: bool) -> int:
    """Print the table; the exit status, 1 where bars are checked and one is missed."""
    print("\n| what | found | bar | |\n| --- | --- | --- | --- |")
    for what, found, bar, holds in rows:
        verdict = "" if holds is None else "ok" if holds else "MISSED"
        print(f"| {what} | {found} | {bar} | {verdict} |")
    return int(check and any(row.holds is not None and not row.holds for row in rows))


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
