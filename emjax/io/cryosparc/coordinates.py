"""Coordinates that another program gave the particles along its components of variability."""

from __future__ import annotations

from itertools import count, takewhile
from pathlib import Path

import numpy as np
import pandas as pd

from emjax.errors import InputError
from emjax.io.cryosparc.job import read_cs_particles


def read_coordinates(path: str | Path, identity: np.ndarray) -> np.ndarray:
    """Coordinates from CryoSPARC's 3D variability (`components_mode_0/value` and on).

    Args:
        path: its particles as `.cs` or `.csg`.
        identity: keys of the particles wanted, uids.

    Returns:
        Coordinates `[n, q]` in the order of `identity`.

    Raises:
        InputError: where the file has no such fields, or not all of the particles.
    """
    source = read_cs_particles(path)
    names = list(takewhile(source.__contains__, map("components_mode_{}/value".format, count())))
    if not names:
        wanted = "components_mode_0/value, as 3D variability writes it"
        raise InputError(path, None, "no coordinates", wanted)
    rows = pd.Index(source["uid"].astype(str)).get_indexer(identity.astype(str))
    if (rows < 0).any():
        found = f"{int((rows >= 0).sum())} of the campaign's {len(rows)} particles by their uid"
        raise InputError(path, "uid", found, "all of them; a campaign that reads .cs has uids")
    return np.stack([source.numbers(name) for name in names], 1)[rows]
