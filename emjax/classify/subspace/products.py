"""E- and M-step of mixtures inside a subspace as two matrix products.

Class volumes are V_k = μ + Σ_j z_kj B_j in a fixed basis of q volumes. With fixed poses and CTFs a
particle enters only through g_i = ⟨CPB, F − CPμ⟩ and G_i = ⟨CPB, CPB⟩:
ℓ_i(z) = g_i·z − ½ zᵀG_i z above the mean map, exactly. Rows [g_i, vech G_i, 1] times columns
[z_k, −½z_j² and −z_j z_l, log π_k] are the E-step of every class of every seed; the posteriors
times the same rows are all that the M-step (Σ r G_i + I) z_k = Σ r g_i needs.

Source: Dempster, Laird & Rubin, J. R. Stat. Soc. B 39 (1977) 1; Tipping & Bishop, Neural Comput. 11
(1999) 443.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

CHUNK = 512  # particles in one product: its columns stay in the cache
PIECE = 64  # particles added up by one thread


@jax.jit
def class_columns(
    coordinates: Float[Array, "*r q"], class_weights: Float[Array, "*r"]
) -> Float[Array, "*r f"]:
    """Columns θ whose product with a particle's row is ℓ_i(z) + log π."""
    q = coordinates.shape[-1]
    rows, columns = np.tril_indices(q)
    products = coordinates[..., rows] * coordinates[..., columns]
    factor = np.where(rows == columns, -0.5, -1.0).astype(np.float32)
    log_weights = jnp.log(jnp.maximum(class_weights, 1e-12))[..., None]
    return jnp.concatenate([coordinates, products * factor, log_weights], -1)


@jax.jit
def accumulate(
    rows: Float[Array, "c b f"],
    coordinates: Float[Array, "r k q"],
    class_weights: Float[Array, "r k"],
) -> tuple[Float[Array, "r k f"], Float[Array, " r"]]:
    """Σ r_ik [g, G, 1] and Σ log Σ_k π_k exp ℓ_ik of each run; padding rows are all zeros."""
    theta = class_columns(coordinates, class_weights)
    r, k, f = theta.shape
    flat = theta.reshape(r * k, f)

    def step(carry, phi):
        sums, evidence = carry
        ell = (phi @ flat.T).reshape(-1, r, k)
        top = jnp.max(ell, -1, keepdims=True)
        # Below −60 a posterior is nothing, and its products would be denormal numbers, which crawl.
        weight = jnp.exp(jnp.maximum(ell - top, -60.0))
        total = jnp.sum(weight, -1, keepdims=True)
        posterior = (weight / total).reshape(-1, r * k)
        gain = phi[:, -1] @ (jnp.log(total) + top)[..., 0]
        return (sums + _times(posterior, phi), evidence + gain), None

    start = (jnp.zeros((r * k, f), theta.dtype), jnp.zeros(r, theta.dtype))
    (sums, evidence), _ = jax.lax.scan(step, start, rows)
    return sums.reshape(r, k, f), evidence


def _times(weights: Float[Array, "b r"], phi: Float[Array, "b f"]) -> Float[Array, "r f"]:
    """weightsᵀ·phi in pieces so short that no thread takes a part of one.

    A longer sum is split over the threads there are, and its last digits with it.
    """

    def step(total, piece):
        return total + piece[0].T @ piece[1], None

    start = jnp.zeros((weights.shape[1], phi.shape[1]), phi.dtype)
    pieces = tuple(a.reshape(-1, PIECE, a.shape[1]) for a in (weights, phi))
    return jax.lax.scan(step, start, pieces)[0]


@partial(jax.jit, static_argnames=("n_chunks", "chunk"))
def draw_labels(
    keys: Array, n_classes: Int[Array, ""] | int, n_chunks: int, chunk: int = CHUNK
) -> Int[Array, "c b r"]:
    """Random labels 0 … n_classes − 1 of the particles of each chunk, for each run's key."""

    def draw(key: Array, index: Int[Array, ""]) -> Int[Array, " b"]:
        return jax.random.randint(jax.random.fold_in(key, index), (chunk,), 0, n_classes)

    by_chunk = jax.vmap(jax.vmap(draw, (0, None), 1), (None, 0))
    return by_chunk(keys, jnp.arange(n_chunks))


@partial(jax.jit, static_argnames="n_classes")
def accumulate_labels(
    rows: Float[Array, "c b f"], labels: Int[Array, "c b r"], n_classes: int
) -> Float[Array, "r k f"]:
    """Σ over particles with label k of [g, G, 1], for each run."""
    b, f = rows.shape[1:]
    r = labels.shape[-1]

    def step(sums, inputs):
        phi, label = inputs
        onehot = label[..., None] == jnp.arange(n_classes)
        return sums + _times(onehot.reshape(b, r * n_classes).astype(phi.dtype), phi), None

    start = jnp.zeros((r * n_classes, f), rows.dtype)
    sums, _ = jax.lax.scan(step, start, (rows, labels))
    return sums.reshape(r, n_classes, f)


@partial(jax.jit, static_argnames="q")
def solve_classes(
    sums: Float[Array, "r k f"], q: int
) -> tuple[Float[Array, "r k q"], Float[Array, "r k"]]:
    """M-step: (Σ r G + I) z = Σ r g, and the class weights."""
    rows, columns = np.tril_indices(q)
    packed = sums[..., q:-1]
    square = jnp.zeros((*sums.shape[:-1], q, q), sums.dtype)
    square = square.at[..., rows, columns].set(packed).at[..., columns, rows].set(packed)
    system = square + jnp.eye(q, dtype=sums.dtype)
    z = jnp.linalg.solve(system, sums[..., :q, None])[..., 0]
    mass = sums[..., -1]
    return z, mass / jnp.maximum(jnp.sum(mass, -1, keepdims=True), 1e-20)


def feature_blocks(features: np.ndarray, block_rows: int) -> Iterator[Float[Array, "c b f"]]:
    """Rows [g, vech G, 1] in blocks of whole chunks, zeros as padding; one block is in memory."""
    n, f = features.shape
    block_rows = padded_rows(n) if n <= block_rows else max(CHUNK, block_rows // CHUNK * CHUNK)
    for start in range(0, n, block_rows):
        part = features[start : start + block_rows]
        length = padded_rows(len(part)) if n <= block_rows else block_rows
        block = np.zeros((length, f + 1), features.dtype)
        block[: len(part), :f] = part
        block[: len(part), f] = 1
        yield jnp.asarray(block.reshape(-1, CHUNK, f + 1))


def padded_rows(n: int) -> int:
    """Rows in whole chunks, in few enough sizes that compiled programs serve again."""
    chunks = -(-n // CHUNK)
    step = max(1, 2 ** (chunks.bit_length() - 4))
    return -(-chunks // step) * step * CHUNK
