"""Particles whose images have noise in common: one half-set must hold them all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from emjax.errors import InputError
from emjax.io.cryosparc.tables import CsParticles
from emjax.io.particles.particle_set import ParticleSet

# Of the box's length: nearer particles are one that was picked twice. Boxes are half as much again
# as the particle, so this is a seventh of it.
NEAR = 0.1
FARTHEST = 1e7  # Å, from a micrograph's corner
# Coordinates of which fewer are distinct were not recorded.
_DISTINCT = 0.25
_MICROGRAPH_PIXEL_SIZES = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize")

Pairs = tuple[np.ndarray, np.ndarray]


def overlapping(particles: ParticleSet) -> np.ndarray:
    """The same number for particles whose images overlap, `[n]` from 0.

    These are copies of an image (symmetry expansion), particles that were picked twice (nearly the
    same place in a micrograph), and segments of a filament.
    """
    n = particles.n
    pairs = [_equal(particles.image)]
    filaments = _filaments(particles)
    if filaments is not None:
        pairs.append(filaments)
    pairs.extend(_near(particles))
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _equal(*keys: np.ndarray) -> Pairs:
    """Each row and the next one with the same keys."""
    codes = np.stack([np.unique(key, return_inverse=True)[1].reshape(-1) for key in keys])
    order = np.lexsort(codes)
    same = (np.diff(codes[:, order], axis=1) == 0).all(0)
    return order[:-1][same], order[1:][same]


def _filaments(particles: ParticleSet) -> Pairs | None:
    """Segments of one filament: a tube of a micrograph in RELION, a uid in CryoSPARC."""
    source = particles.source
    if isinstance(source, CsParticles):
        if "filament/filament_uid" not in source:
            return None
        number = _uids(source, "filament/filament_uid")
        keys, known = (number,), number > 0
    else:
        table = source.particles
        if "rlnHelicalTubeID" not in table:
            return None
        number = table.integers("rlnHelicalTubeID")
        keys, known = (number, *_micrographs(particles)), number > 0
    rows = np.flatnonzero(known)
    first, second = _equal(*[key[rows] for key in keys])
    return rows[first], rows[second]


def _uids(source: CsParticles, name: str) -> np.ndarray:
    values = source[name]
    if values.dtype.kind not in "iu" or values.ndim != 1:
        found = f"{values.dtype} of shape {values.shape[1:]}"
        raise InputError(source.file, name, found, "one whole number per particle")
    return values


def _micrographs(particles: ParticleSet) -> Iterator[np.ndarray]:
    """Micrograph of each particle, where the file says it."""
    source = particles.source
    if particles.micrograph is not None:
        yield particles.micrograph
    elif isinstance(source, CsParticles) and "location/micrograph_uid" in source:
        yield _uids(source, "location/micrograph_uid")


def _near(particles: ParticleSet) -> Iterator[Pairs]:
    """Pairs of nearly the same place, as picked and as aligned."""
    places = _places(particles)
    for micrograph in _micrographs(particles):
        if places is None:
            return
        if np.abs(places).max() > FARTHEST:
            row, file = int(np.abs(places).max(1).argmax()), particles.source.file
            found = f"{np.abs(places[row]).max():g} Å in row {row + 1}"
            raise InputError(file, "coordinates", found, f"up to {FARTHEST:g} Å")
        number = np.unique(micrograph, return_inverse=True)[1].reshape(-1)
        rows = np.unique(particles.image, return_index=True)[1]
        distinct = len(np.unique(np.column_stack([number, places])[rows].round(2), axis=0))
        if distinct < max(2, _DISTINCT * len(rows)):
            return
        limit = NEAR * particles.box_size * particles.pixel_size
        apart = 4 * (np.abs(places).max() + np.abs(particles.shifts).max() + limit)
        for centre in (places, places - particles.shifts):
            points = np.column_stack([centre, apart * number])[rows]
            found = KDTree(points).query_pairs(limit, output_type="ndarray")
            yield rows[found[:, 0]], rows[found[:, 1]]


def _places(particles: ParticleSet) -> np.ndarray | None:
    """Where on its micrograph each particle was picked, `[n, 2]` Å; None where it is not said."""
    source, size = particles.source, particles.image_pixel_size
    if isinstance(source, CsParticles):
        names = [f"location/{x}" for x in ("center_x_frac", "center_y_frac", "micrograph_shape")]
        if not all(name in source for name in names):
            return None
        x, y = (source.numbers(name) for name in names[:2])
        shape = source.numbers(names[2], 2)
        if "location/micrograph_psize_A" in source:
            size = source.numbers("location/micrograph_psize_A")
        return np.column_stack([x * shape[:, 1], y * shape[:, 0]]) * size[:, None]
    table, optics = source.particles, source.optics
    if "rlnCoordinateX" not in table or "rlnCoordinateY" not in table:
        return None
    places = np.column_stack([table.numbers(f"rlnCoordinate{axis}") for axis in "XY"])
    for name in _MICROGRAPH_PIXEL_SIZES:
        if optics is not None and name in optics and len(optics):
            known = dict(zip(optics.integers("rlnOpticsGroup").tolist(), optics.numbers(name)))
            default = float(np.median(list(known.values())))
            groups = particles.optics_group.tolist()
            size = np.array([known.get(group, default) for group in groups])
            break
    return places * size[:, None]
