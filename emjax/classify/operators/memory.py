"""Memory for blocks of particles: the host's is an option's to bound, a GPU's is what it has."""

import jax

from emjax.classify.operators.layout import LANES

SHARE = 0.75  # of a GPU's memory; the rest is for what is computed there


def block_memory(max_memory_gb: float) -> float:
    """GB for blocks of particles where they lie: on GPUs a share of what JAX may take of them.

    Args:
        max_memory_gb: of the host, which is where they lie on a processor.
    """
    devices = jax.local_devices()[:LANES]
    stats = (device.memory_stats() or {} for device in devices)
    found = [each["bytes_limit"] for each in stats if "bytes_limit" in each]
    if jax.default_backend() == "cpu" or len(found) < len(devices):
        return max_memory_gb
    # Lanes take turns on the devices, so that the smallest decides.
    return SHARE * len(devices) * min(found) / 1e9
