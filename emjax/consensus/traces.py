"""Names of input classes as `run.class`, and of intersections as `run.class & run.class`.

Classes are counted from 1; class 0 are the particles that the run did not assign.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

_AND = " & "


def name_class(run: str, number: int) -> str:
    """The name of a class of a run, `em3d-K04-s000.2`."""
    return f"{run}.{number}"


def parse_class(name: str) -> tuple[str, int]:
    """Run and number of a class; the run is empty where the name is a number alone."""
    run, _, number = name.rpartition(".")
    return run, int(number)


def write_traces(
    patterns: Int[np.ndarray, "m r"], run_names: Sequence[str], limit: int | None = None
) -> list[str]:
    """Traces of the first `limit` intersections, whose classes are given from 0 (-1: none)."""
    columns = []
    for run, column in zip(run_names, patterns[:limit].T, strict=True):
        words = [name_class(run, k) for k in range(1, int(column.max(initial=-1)) + 2)]
        columns.append(np.asarray([*words, name_class(run, 0)], dtype=object)[column].tolist())
    return [_AND.join(words) for words in zip(*columns, strict=True)]


def read_traces(traces: Iterable[str]) -> tuple[list[str], Int[np.ndarray, "m r"]]:
    """Runs, and the class (from 1; 0: none) of every intersection in each of them."""
    parts = [dict(map(parse_class, trace.split(_AND))) for trace in traces]
    runs = list(dict.fromkeys(run for part in parts for run in part))
    classes = [[part.get(run, 0) for run in runs] for part in parts]
    return runs, np.array(classes, int).reshape(-1, len(runs))
