"""Resolution of a map by its Fourier shell correlation."""

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
