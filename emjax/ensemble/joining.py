"""Runs over particles of different files, joined by the identity of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from emjax.errors import InputError

_EXAMPLES = 3


@dataclass(frozen=True)
class JoinedRuns:
    """Runs side by side.

    identity: particles of the first run (or of those common to all), in its order.
    labels: class of every particle in every run.
    rows: row of every particle in every run's own order, to pick its posteriors by.
    left_out: particles of each run that are not common to all.
    """

    identity: np.ndarray
    labels: Int[np.ndarray, "n r"]
    rows: Int[np.ndarray, "n r"]
    left_out: Int[np.ndarray, " r"]


def join_runs(
    identities: Sequence[np.ndarray],
    labels: Sequence[Int[np.ndarray, " m"]],
    run_names: Sequence[str],
    on_mismatch: str = "error",
) -> JoinedRuns:
    """Join runs by image identity, never by row order.

    Raises:
        InputError: a particle occurs twice in a run; or the runs hold different particles and
            `on_mismatch` is not `intersect`; or they have none in common.
    """
    if on_mismatch not in ("error", "intersect"):
        raise InputError(None, "consensus.on_mismatch", repr(on_mismatch), "error or intersect")
    keys = [np.asarray(identity).astype(str) for identity in identities]
    first = keys[0]
    for name, own, classes in zip(run_names, keys, labels, strict=True):
        _check_run(name, own, classes)
        if on_mismatch == "error":
            _check_same(run_names[0], first, name, own)
    common = np.ones(len(first), dtype=bool)
    for own in keys[1:]:
        common &= np.isin(first, own)
    if not common.any():
        raise InputError(None, f"runs {', '.join(run_names)}", "no particle in all of them")
    identity = first[common]
    rows = np.stack([_find_rows(identity, own) for own in keys], axis=1)
    joined = np.stack([np.asarray(c)[rows[:, s]] for s, c in enumerate(labels)], axis=1)
    return JoinedRuns(identity, joined, rows, np.asarray([len(k) - len(identity) for k in keys]))


def _find_rows(identity: np.ndarray, own: np.ndarray) -> np.ndarray:
    order = np.argsort(own, kind="stable")
    return order[np.searchsorted(own, identity, sorter=order)]


def _check_run(name: str, own: np.ndarray, classes: np.ndarray) -> None:
    if len(own) != len(classes):
        raise InputError(None, f"run {name}", f"{len(classes)} labels", f"{len(own)} of them")
    values, counts = np.unique(own, return_counts=True)
    if (counts > 1).any():
        twice = ", ".join(values[counts > 1][:_EXAMPLES])
        raise InputError(
            None, f"run {name}", f"{(counts > 1).sum()} particles twice ({twice})", "each once"
        )


def _check_same(first_name: str, first: np.ndarray, name: str, own: np.ndarray) -> None:
    missing = first[~np.isin(first, own)]
    extra = own[~np.isin(own, first)]
    if len(missing) or len(extra):
        examples = ", ".join([*missing[:_EXAMPLES], *extra[:_EXAMPLES]])
        raise InputError(
            None,
            f"run {name}",
            f"{len(missing)} of {len(first)} particles of {first_name} missing and {len(extra)} "
            f"it does not have ({examples})",
            "the same particles; consensus.on_mismatch: intersect takes the common ones",
        )
