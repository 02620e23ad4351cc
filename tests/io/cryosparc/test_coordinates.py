"""Coordinates of 3D variability join on the uid."""

import numpy as np
import pytest
from numpy.lib import recfunctions

from emjax.errors import InputError
from emjax.io.cryosparc.coordinates import read_coordinates


def test_coordinates_come_in_the_order_wanted(cs_set, files):
    records = files.records()
    n = len(records)
    names = [f"components_mode_{k}/value" for k in range(2)]
    z = np.random.default_rng(0).normal(size=(2, n)).astype(np.float32)
    more = recfunctions.append_fields(records, names, list(z), usemask=False)
    path = cs_set(more)
    uids = records["uid"].astype(str)[::-1]
    np.testing.assert_array_equal(read_coordinates(path, uids), z.T[::-1])
    with pytest.raises(InputError, match=f"{n} of the campaign's {n + 1} particles"):
        read_coordinates(path, np.append(uids, "7"))


def test_particles_without_coordinates_are_reported(cs_set, files):
    with pytest.raises(InputError, match="components_mode_0/value"):
        read_coordinates(cs_set(files.records()), np.array(["1"]))
