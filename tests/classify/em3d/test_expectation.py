"""E-step: posteriors and what a pass gathers."""

import numpy as np

from emjax.classify.em3d.expectation import effective_sample_size, posteriors_of, sweep
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import start_runs
from emjax.classify.em3d.state import Run

QUICK = Em3dOptions(particles_per_reconstruction=150, online_batch_per_class=100)


def test_posteriors_and_annealing():
    ell = np.log(np.array([[1.0, 3.0], [2.0, 2.0]], np.float32))
    weights = np.array([0.5, 0.5], np.float32)
    p, evidence = posteriors_of(ell, weights, np.float32(0))
    np.testing.assert_allclose(p, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-5)
    np.testing.assert_allclose(evidence, np.log([2.0, 2.0]), rtol=1e-5)
    equal, _ = posteriors_of(ell, weights, np.float32(1))
    np.testing.assert_allclose(equal, 0.5, rtol=1e-6)


def test_tallies_agree_with_the_posteriors(engine, scene):
    states = start_runs(engine, scene, [Run(3, 0)], QUICK)
    _, (tally,) = sweep(engine, engine.blocks(), states, 0.0, keep_posteriors=True)
    np.testing.assert_allclose(tally.mass, tally.posteriors.sum(0, dtype=np.float64), rtol=1e-6)
    ess = effective_sample_size(tally.posteriors)
    assert np.array_equal(tally.ess, np.histogram(ess, bins=10, range=(1, 3))[0])
