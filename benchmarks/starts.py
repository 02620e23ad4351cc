"""How different initial maps are, and what becomes of them.

Usage: python benchmarks/starts.py [--quick]
Four states of the spliceosome set (found as in subspace_data.py), K = 4, five seeds. The last rows
start from `simple` maps whose difference from their mean is scaled down.
"""

import argparse
import time

import numpy as np
import subspace_data as data
from accuracy_rows import said
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import overall, start_runs
from emjax.classify.em3d.state import Run, make_scene
from emjax.classify.operators.passes import make_engine

STARTS = {
    "simple": {},
    "pca": {},
    "pca, soft": {"initial": "pca", "pca_assignment": "soft"},
    "variability": {},
    "components": {},
}
SCALED = (1.0, 0.3, 0.1, 0.03, 0.01)  # per cent


def main() -> None:
    """One row per start."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds")
    seeds = 2 if parser.parse_args().quick else 5
    case = data.read_case("spliceosome")
    scene = make_scene(case.mean.volume, case.mean.solvent_mask)
    engine, runs = make_engine(case.particles), [Run(4, seed) for seed in range(seeds)]
    print("| initial | difference, % | ARI | iterations | CPU s |\n" + "| --- " * 5 + "|")

    def row(name: str, options: Em3dOptions, given: dict[Run, np.ndarray] | None = None) -> None:
        apart: list[float] = []
        begin = time.process_time()
        found = classify(
            engine,
            scene,
            runs,
            options,
            initial_volumes=given,
            on_start=lambda states: apart.extend(overall(s.initial_differences) for s in states),
        )
        seconds = time.process_time() - begin
        ari = [float(adjusted_rand_score(case.truth, run.labels)) for run in found]
        differences = ", ".join(f"{100 * part:.2g}" for part in apart)
        iterations = ", ".join(str(run.iterations) for run in found)
        print(
            f"| {name} | {differences} | {said(ari)} | {iterations} | {seconds:.0f} |", flush=True
        )

    for name, changes in STARTS.items():
        row(name, Em3dOptions(**{"initial": name} | changes))
    states = start_runs(engine, scene, runs, Em3dOptions())
    for wanted in SCALED:
        given = {}
        for state in states:
            mean = state.volumes.mean(0)
            factor = wanted / 100 / overall(state.initial_differences)
            given[state.run] = mean + factor * (state.volumes - mean)
        options = Em3dOptions(initial="input", initial_lowpass=1.0)
        row(f"simple, scaled to {wanted:g} %", options, given)


if __name__ == "__main__":
    main()
