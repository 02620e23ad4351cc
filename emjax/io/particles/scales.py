"""Intensity scales that a particle file, or the job that wrote it, gives its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emjax.errors import InputError
from emjax.io.cryosparc.tables import CsParticles, class_posteriors
from emjax.io.particles.particle_set import ParticleSet
from emjax.io.star.relion import StarParticles, beside
from emjax.io.star.tables import read_star

OWN = "emjaxScale"
NORM, GROUP_SCALE = "rlnNormCorrection", "rlnGroupScaleCorrection"
ALPHA = "alignments3D/alpha"
_FEWEST, _MOST = 0.1, 4.0  # times the mean; beyond it a scale is no property of the image


def given_scales(particles: ParticleSet) -> np.ndarray:
    """Scale of each image relative to the mean of all, as another program found it.

    emjax's own `emjaxScale` is taken as it is. RELION's is the norm correction of the image times
    the scale correction of its group, which stands in the particle file or in the model file of the
    same job; CryoSPARC's is `alignments3D/alpha`. These are kept from 0.1 to 4 times their mean.

    Raises:
        InputError: where the file gives none, or their mean is not above 0.
    """
    source = particles.source
    if isinstance(source, CsParticles):
        if "emjax/scale" in source:
            return source.numbers("emjax/scale")
        found, where = _alpha(source), ALPHA
    else:
        if OWN in source.particles:
            return source.particles.numbers(OWN)
        found, where = _corrections(source), f"_{NORM} times _{GROUP_SCALE}"
    if found is None:
        expected = (
            f"_{NORM} or _{GROUP_SCALE} (RELION), {ALPHA} (CryoSPARC) or _{OWN};"
            " scale: optimal fits them"
        )
        raise InputError(source.file, "scale: input", "no scales of the images", expected)
    mean = float(found.mean())
    if mean <= 0:
        raise InputError(source.file, where, f"a mean of {mean:g}", "scales above 0")
    return np.clip(found / mean, _FEWEST, _MOST)


def _alpha(source: CsParticles) -> np.ndarray | None:
    """CryoSPARC's scale of each particle; of several classes, the likeliest one's."""
    if ALPHA in source:
        return source.numbers(ALPHA)
    several = ALPHA.replace("/", "_multi/")
    if several not in source or "alignments3D_multi/class_posterior" not in source:
        return None
    posteriors = class_posteriors(source)
    values = source.numbers(several, posteriors.shape[1])
    return values[np.arange(len(values)), posteriors.argmax(1)]


def _corrections(source: StarParticles) -> np.ndarray | None:
    table = source.particles
    norm = table.numbers(NORM) if NORM in table else None
    scale = table.numbers(GROUP_SCALE) if GROUP_SCALE in table else _scales_of_job(source)
    if norm is None or scale is None:
        return scale if norm is None else norm
    return norm * scale


def _scales_of_job(source: StarParticles) -> np.ndarray | None:
    """Scale correction of each particle's group by the job's model file; of half-sets, the mean."""
    table, found = source.particles, []
    for kind in ("model", "half1_model", "half2_model"):
        path = beside(Path(table.file), kind)
        star = None if path is None else read_star(path)
        if star is None or "model_groups" not in star:
            continue
        groups = star["model_groups"]
        # Numbers are those of the job, so names come first.
        keys = [k for k in ("rlnGroupName", "rlnGroupNumber") if k in table and k in groups]
        if keys and GROUP_SCALE in groups:
            values = dict(zip(groups.text(keys[0]), groups.numbers(GROUP_SCALE), strict=True))
            names = table.text(keys[0])
            missing = next((row for row, name in enumerate(names) if name not in values), None)
            if missing is not None:
                place = f"{table.where(missing)}, _{keys[0]}"
                expected = f"a group of {groups.file}"
                raise InputError(table.file, place, names[missing], expected)
            found.append(np.array([values[name] for name in names]))
    return np.mean(found, axis=0) if found else None
