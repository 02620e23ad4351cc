"""Do the classes follow a nuisance instead of a state?

Runs that all follow the same nuisance agree with each other, so agreement says nothing of it. Known
nuisances are tested against every class; an unknown pose error shows as a difference map that a
small rigid-body motion would make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from emjax.audit.association import (
    scalar_features,
    score_association,
    score_groups,
    shift_features,
    view_features,
)
from emjax.audit.intensity import audit_intensity_scale
from emjax.audit.rigid_body import audit_rigid_body_motion
from emjax.consensus.significance import adjust_fdr
from emjax.consensus.traces import name_class
from emjax.imaging.grids import resample

VIEWING_DIRECTION = "viewing direction"
_FLAGGED_EFFECT = 0.2


@dataclass(frozen=True)
class Audited:
    """A classification whose classes are audited.

    Attributes:
        labels: class of every particle, from 0; -1 left out.
        volumes: map of every class, filtered the same way, on any box of the same extent as the
            mask's.
    """

    labels: Int[np.ndarray, " n"]
    volumes: Sequence[Float[np.ndarray, "_ _ _"]]


def known_nuisances(
    rotations: Float[np.ndarray, "n 3 3"],
    shifts: Float[np.ndarray, "n 2"],
    defocus_u: Float[np.ndarray, " n"],
    defocus_v: Float[np.ndarray, " n"],
    optics_group: Shaped[np.ndarray, " n"],
    micrograph: Shaped[np.ndarray, " n"] | None = None,
) -> dict[str, np.ndarray]:
    """What is known of the particles besides their images, as `audit_confounders` takes it."""
    known: dict[str, np.ndarray] = {
        "rotations": rotations,
        "shifts": shifts,
        "defocus": (defocus_u + defocus_v) / 2,
        "astigmatism": defocus_u - defocus_v,
        "optics group": optics_group,
    }
    return known if micrograph is None else known | {"micrograph": micrograph}


def run_to_audit(
    runs: Sequence[str],
    methods: Sequence[str],
    log_likelihood: Float[np.ndarray, " r"],
    first: str = "em3d",
) -> str | None:
    """The best of the runs, whose classes show what a consensus of one class does not.

    Args:
        runs: names of the runs that have maps of several classes.
        methods: of each run.
        log_likelihood: of each run, NaN where unknown.
        first: method whose runs come before all others, because likelihoods of different methods
            do not compare.

    Returns:
        Its name, or None where there is no run.
    """
    fit = np.where(np.isfinite(log_likelihood), log_likelihood, -np.inf)
    order = np.lexsort((-fit, np.array([method != first for method in methods], bool)))
    return str(runs[int(order[0])]) if len(runs) else None


def audit_confounders(
    labels: Int[np.ndarray, " n"],
    nuisances: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Effect size and test of every nuisance in every class; columns of confounders.tsv.

    Args:
        labels: consensus class of every particle; -1 (left out of the audit).
        nuisances: by name. `rotations` [n, 3, 3] is taken as viewing direction and `shifts`
            [n, 2] as shift; other floats as scalars, integers and text as groups.

    Returns:
        Class, nuisance, effect_size (0..1), p_value, q_value and flag, one row per pair. The
        flag asks for both, q < 0.05 and an effect above 0.2: many particles make any effect
        certain.
    """
    inside = labels >= 0
    k = int(labels.max(initial=-1)) + 1
    members = labels[inside] == np.arange(k)[:, None]
    names, scores = [], []
    for name, values in nuisances.items():
        values = np.asarray(values)[inside]
        features = _features(name, values)
        names += [VIEWING_DIRECTION if name == "rotations" else name] * k
        if not k:
            continue
        if features is None:
            scores.append(score_groups(members, values))
        else:
            scores.append(score_association(members, features))
    effects, p_values = np.concatenate([np.zeros((2, 0)), *scores], axis=1)
    q_values = adjust_fdr(p_values, len(p_values))
    return {
        "class": np.tile(np.arange(k), len(nuisances)),
        "nuisance": np.asarray(names, dtype=str),
        "effect_size": effects,
        "p_value": p_values,
        "q_value": q_values,
        "flag": (q_values < 0.05) & (effects > _FLAGGED_EFFECT),
    }


def _features(name: str, values: np.ndarray) -> np.ndarray | None:
    """Features to correlate with, or nothing where the values name groups."""
    if name == "rotations":
        return view_features(values)
    if name == "shifts":
        return shift_features(values)
    return scalar_features(values) if values.dtype.kind == "f" else None


def audit_classes(
    audited: Audited,
    nuisances: Mapping[str, np.ndarray],
    scale: Float[np.ndarray, " n"],
    mask: Float[np.ndarray, "d d d"],
) -> dict[str, np.ndarray]:
    """Known nuisances, intensity scale and rigid-body motion: all columns of confounders.tsv.

    Args:
        audited: the classes.
        nuisances: see `audit_confounders`; those that do not vary are left out.
        scale: of every particle against the mean map.
        mask: of the solvent.
    """
    volumes = np.stack([resample(volume, len(mask)) for volume in audited.volumes])
    varying = {k: v for k, v in nuisances.items() if len(np.unique(v, axis=0)) > 1}
    parts = [
        audit_confounders(audited.labels, varying),
        audit_intensity_scale(audited.labels, scale, volumes, mask),
        audit_rigid_body_motion(audited.labels, volumes, mask),
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def audit_classifications(
    audited: Mapping[str, Audited],
    nuisances: Mapping[str, np.ndarray],
    scale: Float[np.ndarray, " n"],
    mask: Float[np.ndarray, "d d d"],
) -> dict[str, np.ndarray]:
    """`audit_classes` of several classifications; classes are named as in traces, from 1.

    Args:
        audited: by the name of the run, empty for the consensus.
        nuisances: see `audit_confounders`.
        scale: of every particle against the mean map.
        mask: of the solvent.
    """
    tables = []
    for run, classes in audited.items():
        found = audit_classes(classes, nuisances, scale, mask)
        names = [name_class(run, c + 1) if run else str(c + 1) for c in found["class"].tolist()]
        tables.append(found | {"class": np.asarray(names)})
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def describe_flags(table: Mapping[str, np.ndarray]) -> Iterator[str]:
    """One sentence for each class that follows a nuisance, or that none does."""
    flagged = np.flatnonzero(table["flag"])
    for row in flagged:
        name, nuisance = table["class"][row], table["nuisance"][row]
        yield f"class {name} correlates with {nuisance} (effect {table['effect_size'][row]:.2f})"
    if not len(flagged):
        yield "no class follows a nuisance"
