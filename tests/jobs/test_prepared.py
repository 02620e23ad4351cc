"""The prepared particles as later jobs read them."""

import dataclasses
from pathlib import Path

import numpy as np

from emjax.io.particles.particle_set import read_particles
from emjax.jobs.prepared import Prepared, blocks_of


def test_held_out_evidence_divides_a_single_micrograph_by_particle(particles: Path):
    table = read_particles(particles / "particles.star")
    half = np.arange(table.n, dtype=np.int8) % 2 + 1
    several = dataclasses.replace(table, half=half)
    assert several.micrograph is not None and blocks_of(several) is several.micrograph
    single = dataclasses.replace(several, micrograph=np.full(table.n, "a.mrc"))
    assert blocks_of(single) is None


def test_held_out_evidence_keeps_copies_together_without_micrographs(particles: Path):
    table = read_particles(particles / "particles.star").select(np.repeat(np.arange(150), 2))
    half = np.arange(300, dtype=np.int8) // 2 % 2 + 1
    blocks = blocks_of(dataclasses.replace(table, half=half, micrograph=None))
    assert blocks is not None
    np.testing.assert_array_equal(blocks[::2], blocks[1::2])
    assert len(np.unique(blocks)) == 150


def test_values_of_those_that_take_part_stand_in_their_rows_of_the_input(particles: Path):
    everyone = read_particles(particles / "particles.star")
    rows = np.flatnonzero(np.arange(everyone.n) % 3)
    prepared = Prepared.__new__(Prepared)
    prepared.__dict__.update(everyone=everyone, rows=rows)
    values = np.stack([rows, -rows], 1).astype(np.float32)
    spread = prepared.for_everyone(values, np.nan)
    assert spread.shape == (everyone.n, 2) and spread.dtype == np.float32
    np.testing.assert_array_equal(spread[rows], values)
    assert np.isnan(np.delete(spread, rows, 0)).all()
