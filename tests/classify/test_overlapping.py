"""One state seen in images that overlap is one class, and no better resolved than it is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emjax.classify.operators.pixels import make_pixel_operators
from emjax.classify.subspace.analysis import analyse
from emjax.classify.subspace.recipes import SubspaceOptions
from emjax.imaging.prepare import AlignedImages, Prepared, PrepareOptions, prepare
from emjax.simulate.particles import Simulation, phantom, simulate

BOX, PIXEL, FILTER, N = 32, 6.0, 18.0, 300
OPTIONS = PrepareOptions(FILTER)
SUBSPACE = SubspaceOptions(n_classes=(2, 3), n_components=4, iterations=5, evidence_seeds=5)


@pytest.fixture(scope="module")
def one_state() -> Simulation:
    """Few noisy particles, so that the noise which copies share would count."""
    return simulate(phantom(1, BOX, seed=1)[:1], N, seed=3, pixel_size=PIXEL, snr=0.02)


def copied(simulation: Simulation, times: int, moved: int, seed: int = 0) -> AlignedImages:
    """Every image several times, moved within the box, at poses that differ by half a degree."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(N), times)
    moves = rng.integers(-moved, moved + 1, (len(of), 2))
    images = np.stack([np.roll(simulation.images[i], m[::-1], (0, 1)) for i, m in zip(of, moves)])
    turns = Rotation.from_rotvec(rng.normal(0, np.deg2rad(0.5), (len(of), 3))).as_matrix()
    ctf = simulation.ctf.take(of)
    return AlignedImages(
        lambda rows: images[rows],
        simulation.rotations[of] @ turns,
        simulation.shifts[of] - PIXEL * moves,
        ctf,
        BOX,
        PIXEL,
        overlap=of,
    )


@pytest.fixture(scope="module")
def unique(one_state) -> Prepared:
    return prepare(one_state.aligned(), OPTIONS)


def mean_fsc(prepared: Prepared) -> float:
    """Over the finer half of the shells."""
    fsc = prepared.mean.fsc[: prepared.particles.radius]
    return float(fsc[len(fsc) // 2 :].mean())


@pytest.mark.slow
@pytest.mark.parametrize(("times", "moved"), [(2, 1), (4, 2)], ids=["duplicates", "filaments"])
def test_one_state_is_one_class_and_no_better_resolved(one_state, unique, times, moved):
    images = copied(one_state, times, moved)
    apart = prepare(replace(images, overlap=None), OPTIONS)
    found = prepare(images, OPTIONS)
    # Half-sets drawn image by image show what would go wrong.
    assert mean_fsc(apart) > mean_fsc(found) + 0.05
    assert mean_fsc(found) < mean_fsc(unique) + 0.1  # another draw of the half-sets
    operators = make_pixel_operators(found.particles)
    blocks = found.overlap.astype(str)
    analysis = analyse(operators, found.mean, found.mean.solvent_mask, SUBSPACE, blocks)
    assert analysis.judgement.chosen.evidence.classes.chosen == 1
