"""How the map of a class differs from the classes' mean, and what explains that difference."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

FLAGGED_SHARE = 0.5  # of the difference map that a nuisance explains


@jax.jit
def differ_from_mean(
    class_volumes: Float[Array, "k d d d"],
    class_sizes: Float[Array, " k"] | Int[Array, " k"],
    mask: Float[Array, "d d d"],
) -> tuple[Float[Array, "k v"], Float[Array, "d d d"], Float[Array, " v"]]:
    """Difference of every class from the classes' mean inside the mask, that mean, and its unit.

    The mean map of all particles will not do: it was filtered otherwise than the classes' maps, and
    that difference, the same in all, outweighs those between the classes.
    """
    sizes = jnp.asarray(class_sizes, float)
    mean = jnp.tensordot(sizes / jnp.maximum(sizes.sum(), 1.0), class_volumes, 1)
    weight = weight_of(mask)
    differences = (class_volumes - mean).reshape(len(class_volumes), -1) * weight
    direction = mean.reshape(-1) * weight
    return differences, mean, direction / jnp.maximum(jnp.linalg.norm(direction), 1e-30)


def weight_of(mask: Float[Array, "d d d"]) -> Float[Array, " v"]:
    """Weight of every voxel: the mask without its faint rim."""
    return jnp.where(mask > 0.05, mask, 0).reshape(-1)


@jax.jit
def explained_share(
    differences: Float[Array, "k v"], causes: Float[Array, "q v"]
) -> Float[Array, " k"]:
    """Energy of the differences in the span of the causes, 0 where there is no difference."""
    values, vectors = jnp.linalg.eigh(causes @ causes.T)
    kept = values > 1e-12 * jnp.maximum(values.max(), 1e-300)
    parts = ((differences @ causes.T) @ vectors) ** 2 / jnp.where(kept, values, 1.0)
    energy = (differences**2).sum(axis=1)
    there = energy > 1e-12 * energy.max()
    explained = jnp.where(kept, parts, 0).sum(axis=1)
    return jnp.where(there, explained / jnp.where(there, energy, 1.0), 0.0)
