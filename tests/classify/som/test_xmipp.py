"""Mode xmipp against the trajectory of Xmipp's own library."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from emjax.classify.som import xmipp
from emjax.classify.som.kerdensom import SomOptions


def test_sigma_follows_the_original(shared_data: Path) -> None:
    reference = np.load(shared_data / "reference" / "kerdensom_digits_seed1.npz")
    options = SomOptions(mode="xmipp")
    sigma = []
    with jax.enable_x64(True):
        data = jnp.asarray(reference["X"].astype(float))
        laplacian = jnp.asarray(options.grid.laplacian)
        state = xmipp.XmippMap(
            jnp.asarray(reference["V0"]), jnp.asarray(float(reference["init_sigma"]))
        )
        for regularisation in options.schedule:
            state, trace = xmipp.anneal(
                data, state, laplacian, jnp.asarray(regularisation), max_iterations=200
            )
            sigma.append(np.asarray(trace.sigma)[: int(trace.iterations)])
        memberships, _ = xmipp.memberships(data, state)
    assert [len(step) for step in sigma] == list(reference["ann_iters"])
    # The bits agree on most machines; one rounded differently may grow to 5e-6 for a few steps.
    np.testing.assert_allclose(np.concatenate(sigma), reference["sigma"], rtol=1e-6)
    assert np.mean(np.argmax(memberships, 1) == reference["winner"]) >= 0.99


def test_random_start_is_seeded() -> None:
    data = jnp.asarray(np.random.default_rng(0).standard_normal((50, 6)), jnp.float32)
    first = xmipp.random_start(data, 4, key=jax.random.key(1))
    again = xmipp.random_start(data, 4, key=jax.random.key(1))
    np.testing.assert_array_equal(first.vectors, again.vectors)
    # Code vectors near the mean: sigma is close to the variance per pixel.
    np.testing.assert_allclose(first.sigma, jnp.mean(jnp.var(data, 0)), rtol=0.1)
