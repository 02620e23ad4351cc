"""Work of several threads on one processor ends."""

import subprocess
import sys

from tests.campaigns import ROOT

SOLVE = """
from concurrent.futures import ThreadPoolExecutor
import jax.numpy as jnp
import numpy as np
from emjax.imaging.crop import grid_for
from emjax.imaging.maps import solve_map
from emjax.imaging.masks import sphere
from emjax.machine import cores

grid = grid_for(64, 6.0, 12.4)
numerator = np.random.default_rng(0).normal(size=(2, len(grid.kxyz))).astype(np.complex64)
sums, mask = (jnp.asarray(numerator), jnp.ones(numerator.shape)), jnp.asarray(sphere(64))
with ThreadPoolExecutor(max(2, cores())) as pool:
    solved = pool.map(lambda _: np.asarray(solve_map(*sums, mask, grid)[0]), range(40))
    assert len({volume.tobytes() for volume in solved}) == 1
"""


def test_maps_are_solved_in_as_many_threads_as_there_are_cores():
    """With JAX 0.11.2 all of them wait in a transform, for good."""
    # A second of work, and what else the machine has to do.
    subprocess.run([sys.executable, "-c", SOLVE], cwd=ROOT, check=True, timeout=240)
