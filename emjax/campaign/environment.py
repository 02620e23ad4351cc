"""What the environment of a process spoils, said in one line with the remedy."""

import os
import re
import subprocess
import sys

from emjax.errors import InputError


def check_jax_flags() -> None:
    """Refuse flags that end the process without a word once JAX computes.

    Raises:
        InputError: for flags of XLA_FLAGS that XLA does not know.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if not flags.strip():
        return
    program = [sys.executable, "-c", "import jax; jax.devices()"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return
    said = re.search(r"Unknown flags? in XLA_FLAGS: *(.*)", done.stderr)
    found = f"unknown {said[1].strip()}" if said else flags
    expected = "flags of this version of XLA; correct it, or unset XLA_FLAGS"
    raise InputError(None, "environment, XLA_FLAGS", found, expected)
