"""The kernels compiled for an H100 (sm_90), which needs JAX's build for GPUs but no GPU."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from tests.campaigns import ROOT

# What XLA has to know of the card.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 84978434048
  clock_rate_ghz: 1.98 registers_per_core_limit: 65536 registers_per_block_limit: 65536
  cuda_compute_capability { major: 9 minor: 0 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "sm_90"
"""
COMPILE = """
import json, sys
import equinox as eqx, jax, jax.numpy as jnp
from jax.experimental import topologies
from emjax.classify.operators import pallas
from emjax.classify.operators.passes import make_engine
from emjax.simulate.particles import phantom, simulate
from tests.classify.conftest import BOX, PIXEL, prepare

card = topologies.get_topology_desc(
    platform="cuda", topology_name="", target_config=sys.argv[1], topology="1x1x1"
).devices[0]
particles = prepare(simulate(phantom(2, BOX, seed=1), 64, seed=2, pixel_size=PIXEL, snr=1.0))[0]
engine = make_engine(particles, backend=pallas)
block = engine.block(0)
sums = pallas.empty_sums(1, len(engine.grid.kxyz), jax.devices()[0])[0]
posteriors = jnp.ones((engine.layout.block_size, pallas.TILE))
pallas.interpreted = lambda: False
arrays, static = eqx.partition(block, eqx.is_array)

def both(arrays, sums, posteriors):
    own = eqx.combine(arrays, static)
    compared = pallas.slice_and_compare.__wrapped__(own, sums[0], sums[1])
    return compared, pallas.add_up.__wrapped__(own, posteriors, sums)

sharding = jax.sharding.SingleDeviceSharding(card)
shapes = jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), (arrays, sums, posteriors)
)
code = jax.jit(both).trace(*shapes).lower().compile().as_text()
print(json.dumps({"card": card.device_kind, "kernels": code.count("xla.gpu.triton")}))
"""
BUILDS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


@pytest.mark.skipif(
    not any(map(importlib.util.find_spec, BUILDS)), reason="JAX is not the build for GPUs"
)
def test_both_kernels_compile_for_an_h100():
    # The plugin looks for a driver otherwise, and is left out where it finds none.
    environment = {"JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, H100],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"card": "sm_90", "kernels": 2}
