"""The products of a mixture give the same bits on any machine."""

import os
import subprocess
import sys

from tests.campaigns import ROOT

SUMS = """
import hashlib
import jax, jax.numpy as jnp, numpy as np
from emjax.classify.subspace.products import accumulate, accumulate_labels, draw_labels
rng = np.random.default_rng(0)
found = []
for q in (4, 8, 16):
    rows = jnp.asarray(rng.normal(size=(3, 512, q * (q + 3) // 2 + 1)).astype(np.float32))
    z = rng.normal(size=(64, 4, q)).astype(np.float32) / 10
    found += accumulate(rows, z, np.full((64, 4), 0.25, np.float32))
    labels = draw_labels(jax.vmap(jax.random.key)(jnp.arange(64)), 4, 3)
    found.append(accumulate_labels(rows, labels, 4))
print(hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in found)).hexdigest())
"""


def test_any_number_of_threads_gives_the_same_bits():
    bits = [
        subprocess.run(
            [sys.executable, "-c", SUMS],
            env=os.environ | {"NPROC": threads, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in ("1", "4")
    ]
    assert bits[0] == bits[1]
