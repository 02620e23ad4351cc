"""Classes that differ by the intensity scale of their images: ice, contrast, normalisation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from emjax.audit.association import scalar_features, score_association
from emjax.audit.difference import FLAGGED_SHARE, differ_from_mean, explained_share
from emjax.consensus.significance import adjust_fdr

INTENSITY_SCALE = "intensity scale"


def score_intensity_scale(
    class_volumes: Float[np.ndarray, "k d d d"],
    class_sizes: Float[np.ndarray, " k"] | Int[np.ndarray, " k"],
    class_scale: Float[np.ndarray, " k"],
    mask: Float[np.ndarray, "d d d"],
) -> Float[np.ndarray, " k"]:
    """Share of every class's difference map that another intensity scale explains.

    Particles that lack a part fit the mean map with a smaller scale too, so their scale alone says
    nothing. The classes' maps are put back to the scale of their images: weaker images of the same
    molecule then differ by the mean map itself, those that lack a part by that part.
    """
    rescaled = class_volumes * class_scale[:, None, None, None]
    with jax.enable_x64(True):
        differences, _, unit = differ_from_mean(*map(jnp.asarray, (rescaled, class_sizes, mask)))
        return np.asarray(explained_share(differences, unit[None]))


def audit_intensity_scale(
    labels: Int[np.ndarray, " n"],
    scale: Float[np.ndarray, " n"],
    class_volumes: Float[np.ndarray, "k d d d"],
    mask: Float[np.ndarray, "d d d"],
) -> dict[str, np.ndarray]:
    """The share of `score_intensity_scale` as rows of confounders.tsv, tested by particle.

    Flagged where the particles' scale correlates with the class (q < 0.05) and explains more than
    half of how its map differs.
    """
    k = len(class_volumes)
    inside = labels >= 0
    sizes = np.bincount(labels[inside], minlength=k)
    total = np.bincount(labels[inside], weights=scale[inside], minlength=k)
    class_scale = np.where(sizes > 0, total / np.maximum(sizes, 1), 1.0)
    features = scalar_features(scale[inside])
    _, p_values = score_association(labels[inside] == np.arange(k)[:, None], features)
    q_values = adjust_fdr(p_values, k)
    shares = score_intensity_scale(class_volumes, sizes, class_scale, mask)
    return {
        "class": np.arange(k),
        "nuisance": np.full(k, INTENSITY_SCALE),
        "effect_size": shares,
        "p_value": p_values,
        "q_value": q_values,
        "flag": (q_values < 0.05) & (shares > FLAGGED_SHARE),
    }
