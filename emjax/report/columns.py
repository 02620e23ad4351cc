"""Columns of the campaign's tables as arrays, whichever program wrote them."""

import numpy as np
import pandas as pd

from emjax.consensus.traces import read_traces


def column(table: pd.DataFrame, *names: str) -> np.ndarray | None:
    """The first of these columns that the table has, as float64."""
    for name in names:
        if name in table:
            return np.asarray(pd.to_numeric(table[name], errors="coerce"), float)
    return None


def numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column that the table is known to have, as float64."""
    found = column(table, name)
    return np.full(len(table), np.nan) if found is None else found


def truths(table: pd.DataFrame, name: str) -> np.ndarray:
    """A column of True and False as written by any program; False where absent."""
    if name not in table:
        return np.zeros(len(table), bool)
    return np.array([str(value).lower() in ("true", "1") for value in table[name]], bool)


def traces(intersections: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Run names, and the class (1-based, 0 where missing) of every group in every run."""
    return read_traces(intersections["trace"] if "trace" in intersections else [])


def contingency(first: np.ndarray, second: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Particles shared by each class of one labelling with each class of another (from class 1)."""
    a, b = first, second
    both = (a > 0) & (b > 0)
    table = np.zeros((int(a.max(initial=0)), int(b.max(initial=0))))
    np.add.at(table, (a[both] - 1, b[both] - 1), size[both])
    return table
