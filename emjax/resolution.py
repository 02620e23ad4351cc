"""Resolution of a map by its Fourier shell correlation, and the filter that cuts at one."""

from typing import Any

import numpy as np

FSC_THRESHOLD = 0.143  # between half-maps; Rosenthal & Henderson, J. Mol. Biol. 333 (2003) 721


def resolution_at(fsc: np.ndarray, extent: float, threshold: float = FSC_THRESHOLD) -> float:
    """Resolution in Å where an FSC first falls below a threshold, interpolated between shells.

    Frequencies are interpolated linearly between the last shell above and the first one below. A
    curve that never falls has the finest resolution that was measured, as an upper bound; one that
    is below from shell 1 on has the length of the box.

    Args:
        fsc: correlation of shells 0, 1, 2 …, two or more.
        extent: box size × pixel size in Å.
        threshold: 0.143 between half-maps, 0.5 against a reference.
    """
    below = np.flatnonzero(np.asarray(fsc)[1:] < threshold)
    if below.size == 0:
        return extent / (len(fsc) - 1)
    s = int(below[0]) + 1
    if s == 1:
        return extent
    high, low = fsc[s - 1], fsc[s]
    return float(extent / (s - 1 + (high - threshold) / (high - low)))


def lowpass_weights(frequency: Any, cutoff: Any, edge: float = 0.0) -> Any:
    """Low-pass filter: 1 up to a cutoff, 0 from (1 + edge)·cutoff on, linear between.

    Args:
        frequency: of each coefficient, in any unit; an array of NumPy or JAX.
        cutoff: in the same unit.
        edge: width of the fall as a fraction of the cutoff; 0 cuts hard.
    """
    if edge == 0:
        return (frequency <= cutoff) * 1.0
    return ((1 + edge - frequency / cutoff) / edge).clip(0, 1)
