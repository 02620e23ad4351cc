"""How many classes stay populated at each learning rate of the mini-batches.

Usage: python benchmarks/learning_rate.py [--particles N] [--seeds S] [--classes K]
The demo's four states, classified with many more classes than there are states, from random
subsets. Mini-batches are as small as they can be, then as they are by default. A class is populated
with a tenth of an equal share; the effective number of classes is exp of the entropy of the shares.
The last rows take the shares of the classes from the last mini-batch alone, without the learning
rate, and keep them equal: what the rate does to the shares, and what to the maps.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from emjax.classify.em3d import iterations
from emjax.classify.em3d.iterations import classify
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import Run, RunState, Stage, make_scene
from emjax.classify.operators.passes import make_engine
from emjax.imaging.prepare import PrepareOptions, prepare
from emjax.simulate.demo import BOX, FRACTIONS
from emjax.simulate.particles import phantom, simulate

RATES = (0.1, 0.4, 0.75, 1.0)
SMALL, DEFAULT = 25, 1000  # particles per class in a mini-batch
BLOCK_PIXELS = 15_000  # small blocks of particles, of which mini-batches are made
POPULATED = 0.1  # of an equal share

maximise = iterations._maximise


def forgetful(*arguments: Any, **named: Any) -> RunState:
    """An M-step whose shares are those of the last mini-batch."""
    return maximise(*arguments, **named | {"rate": 1.0})


def equal(*arguments: Any, **named: Any) -> RunState:
    """An M-step that leaves all classes of a mini-batch with equal shares."""
    state = maximise(*arguments, **named)
    if named.get("stage") is not Stage.ONLINE:
        return state
    return replace(state, class_weights=np.full_like(state.class_weights, 1 / state.run.n_classes))


def populated(sizes: np.ndarray) -> int:
    """Classes with a tenth of an equal share."""
    return int((sizes >= POPULATED * sizes.sum() / len(sizes)).sum())


def effective(sizes: np.ndarray) -> float:
    """Number of equal classes whose shares have the same entropy."""
    share = sizes[sizes > 0] / sizes.sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def said(values: Iterable[float], digits: int = 0) -> str:
    """Figures of all seeds."""
    return ", ".join(f"{value:.{digits}f}" for value in values)


def main() -> None:
    """One row per size of the mini-batches, learning rate and treatment of the shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--particles", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--classes", type=int, default=20)
    arguments = parser.parse_args()
    made = simulate(phantom(4, BOX, 1), arguments.particles, seed=1, snr=0.5, fractions=FRACTIONS)
    prepared = prepare(made.aligned(), PrepareOptions(filter_resolution=24.0))
    scene = make_scene(prepared.mean.volume, prepared.mean.solvent_mask)
    engine = make_engine(prepared.particles, block_pixels=BLOCK_PIXELS)
    runs = [Run(arguments.classes, seed) for seed in range(arguments.seeds)]
    cases: list[tuple[str, Callable[..., RunState], int]] = [
        ("", maximise, SMALL),
        ("", maximise, DEFAULT),
        (", shares of the last mini-batch", forgetful, SMALL),
        (", equal shares", equal, SMALL),
    ]
    rows = []
    for name, step, size in cases:
        for rate in RATES:
            iterations._maximise = step
            options = Em3dOptions(learning_rate=rate, online_batch_per_class=size)
            start = time.process_time()
            found = classify(engine, scene, runs, options)
            seconds = time.process_time() - start
            online = [[r for r in f.history if r.stage is Stage.ONLINE] for f in found]
            shares = [effective(np.array(of_run[-1].class_mass)) for of_run in online]
            sizes = [run.class_sizes for run in found]
            ari = [float(adjusted_rand_score(made.states, run.labels)) for run in found]
            text = (
                f"{said(shares, 1)} | {said(map(populated, sizes))} |"
                f" {said(map(effective, sizes), 1)} | {said(ari, 2)} | {seconds:.0f}"
            )
            what = f"{len(online[0])} mini-batches{name} | {rate:g}"
            rows.append(f"| {what} | {text} |")
            print(rows[-1], flush=True)
    print("\n| | learning rate | effective, mini-batches | populated | effective | ARI | CPU s |")
    print("| --- " * 7 + "|", *rows, sep="\n")


if __name__ == "__main__":
    main()
