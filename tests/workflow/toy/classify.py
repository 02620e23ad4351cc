"""Classes of equal defocus."""

import numpy as np
from jaxtyping import Float

from emjax.classify.classification import Classification


def sort_by_defocus(defocus: Float[np.ndarray, " n"], n_classes: int, seed: int) -> Classification:
    """Particles sorted by defocus into classes of equal size."""
    labels = np.argsort(np.argsort(defocus)) * n_classes // len(defocus)
    posteriors = np.eye(n_classes, dtype=np.float32)[labels]
    return Classification("toy", labels, posteriors, seed, converged=True, iterations=1)
