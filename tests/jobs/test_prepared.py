"""The prepared particles as later jobs read them."""

import dataclasses
from pathlib import Path

import numpy as np

from emjax.io.particles.particle_set import read_particles
from emjax.jobs.prepared import micrographs_of


def test_held_out_evidence_divides_a_single_micrograph_by_particle(particles: Path):
    table = read_particles(particles / "particles.star")
    half = np.arange(table.n, dtype=np.int8) % 2 + 1
    several = dataclasses.replace(table, half=half)
    assert several.micrograph is not None and micrographs_of(several) is several.micrograph
    single = dataclasses.replace(several, micrograph=np.full(table.n, "a.mrc"))
    assert micrographs_of(single) is None
