"""Held-out evidence in plain numbers and words, as evidence.json and evidence.tsv hold it."""

from typing import Any

import numpy as np

from emjax.classify.em3d.held_out import MapEvidence
from emjax.classify.pose_error import PoseError
from emjax.classify.subspace.held_out import Choice, Evidence, Interval
from emjax.classify.subspace.recipes import Analysis


def interval_record(value: Interval) -> dict[str, float]:
    """A sum with its 95 % interval."""
    return {"value": value.value, "low": value.low, "high": value.high}


def choice_record(found: Choice) -> dict[str, Any]:
    """The held-out gain of each number over the first, and the number chosen."""
    return {
        "numbers": list(found.numbers),
        "gains": [interval_record(g) for g in found.gains],
        "chosen": found.chosen,
        "reason": found.reason,
    }


def verdict(classes: Choice) -> str:
    """The answer in words."""
    if classes.chosen == 1:
        return "no discrete heterogeneity found"
    return f"{classes.chosen} classes raise the held-out likelihood"


def subspace_verdict(evidence: Evidence) -> str:
    """The answer in words, a continuum told from states."""
    if evidence.found:
        return verdict(evidence.classes)
    count = evidence.components.chosen
    if not count:
        return "no discrete heterogeneity found"
    parts = f"; {evidence.classes.chosen} classes cut it" if evidence.spread else ""
    return (
        "no discrete heterogeneity found, but continuous variability in"
        f" {count} component{'s' * (count > 1)}{parts}"
    )


def width_record(width: PoseError | None) -> dict[str, float] | None:
    """Prior widths of the pose error; None for exact poses."""
    if width is None:
        return None
    return {"rotation_degrees": float(width.rotation), "shift_angstrom": float(width.shift)}


def map_evidence_record(found: MapEvidence) -> dict[str, Any]:
    """What held-out particles say about classes of maps."""
    answer = verdict(found.classes)
    if found.follows_poses:
        answer += "; what classes of full maps explain follows the error of the poses"
    return {
        "verdict": answer,
        "discrete_classes": found.classes.chosen,
        "follows_poses": found.follows_poses,
        "classes": choice_record(found.classes),
        "per_class": [interval_record(loss) for loss in found.per_class],
        "pose_error": width_record(found.pose_error),
    }


def analysis_record(found: Analysis) -> dict[str, Any]:
    """Everything that held-out particles judged in a subspace analysis."""
    judgement = found.judgement
    evidence, spread = judgement.chosen.evidence, judgement.chosen.evidence.spread
    return {
        "verdict": subspace_verdict(evidence),
        "discrete_classes": evidence.discrete_classes,
        "spread": spread
        and {
            "width": spread.width,
            "gain": interval_record(spread.gain),
            "continuum": spread.continuum,
        },
        "classes": choice_record(evidence.classes),
        "components": choice_record(evidence.components),
        "per_class": [interval_record(loss) for loss in evidence.per_class],
        "basis": judgement.chosen.name,
        "candidates": [
            {
                "name": candidate.name,
                "components": candidate.evidence.components.chosen,
                "classes": candidate.evidence.classes.chosen,
                "log_likelihood": candidate.evidence.log_likelihood,
            }
            for candidate in judgement.candidates
        ],
        "pose_error": width_record(found.pose_error),
        "pose_widths": {str(scale): value for scale, value in judgement.widths.items()},
        "nuisance_modes": [dict(mode) for mode in found.nuisance_modes],
    }


def evidence_curve(classes: Choice) -> dict[str, np.ndarray]:
    """Columns of evidence.tsv: held-out gain of each number of classes over one class."""
    numbers = np.array(classes.numbers)
    return {
        "n_classes": numbers,
        "gain": np.array([g.value for g in classes.gains]),
        "gain_low": np.array([g.low for g in classes.gains]),
        "gain_high": np.array([g.high for g in classes.gains]),
        "chosen": numbers == classes.chosen,
    }
