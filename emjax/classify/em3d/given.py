"""Start maps from elsewhere: on the mean map's intensity scale, as many as there are classes."""

import numpy as np
from jaxtyping import Float
from sklearn.cluster import KMeans

from emjax.errors import OptionError

ANTICORRELATED = -0.1
HARDLY = 0.3  # a map of other particles, or in another frame


def correlations(
    volumes: Float[np.ndarray, "k d d d"],
    mean_map: Float[np.ndarray, "d d d"],
    mask: Float[np.ndarray, "d d d"],
) -> Float[np.ndarray, " k"]:
    """Correlation of each map with the mean map inside the mask; 0 of a constant."""
    target = _centred(mean_map[mask > 0.5])
    flat = [_centred(volume[mask > 0.5]) for volume in volumes]
    norms = [np.linalg.norm(values) * np.linalg.norm(target) for values in flat]
    return np.array([v @ target / norm if norm else 0.0 for v, norm in zip(flat, norms)])


def fit_scale(
    volumes: Float[np.ndarray, "k d d d"],
    mean_map: Float[np.ndarray, "d d d"],
    mask: Float[np.ndarray, "d d d"],
) -> Float[np.ndarray, "k d d d"]:
    """Maps whose mean has the mean map's intensity scale and level inside the mask.

    One factor and one offset for all, so that what differs between them stays.
    """
    inside = mask > 0.5
    average = volumes.mean(0)
    spread = float(average[inside].std())
    factor = float(mean_map[inside].std()) / spread if spread else 1.0
    offset = float(mean_map[inside].mean()) - factor * float(average[inside].mean())
    return (factor * volumes + offset).astype(np.float32)


def group_maps(
    volumes: Float[np.ndarray, "m d d d"], n_classes: int, seed: int
) -> Float[np.ndarray, "k d d d"]:
    """One map per class: as given, or of more maps than classes the averages of similar ones.

    Raises:
        OptionError: where there are fewer maps than classes.
    """
    m = len(volumes)
    if m < n_classes:
        raise OptionError("initial_maps", f"{m} maps", f"{n_classes} or more, one per class")
    if m == n_classes:
        return volumes
    table = volumes.reshape(m, -1).astype(np.float64)
    means = KMeans(n_classes, n_init=10, random_state=seed)  # type: ignore[arg-type]
    groups = means.fit_predict(table)
    members = groups[:, None] == np.arange(n_classes)
    averages = members.T @ table / np.maximum(members.sum(0), 1)[:, None]
    return averages.reshape(-1, *volumes.shape[1:]).astype(np.float32)


def _centred(values: Float[np.ndarray, " v"]) -> Float[np.ndarray, " v"]:
    return values.astype(np.float64) - values.mean(dtype=np.float64)
