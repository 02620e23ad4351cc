"""KerDenSOM by expectation / conditional maximisation, many seeds in one pass of the data.

F = −Σ_i ln[(1/c) Σ_j N(x_i; v_j, αI)] + ϑ q / 2α with q = tr VᵀLV. At fixed ϑ the step below
minimises F's majorant over V and then α exactly, so F never rises.

Source: Pascual-Montano et al., J. Struct. Biol. 133 (2001) 233; penalty of Utsugi (1997).
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# exp(−80) is the least the float32 range holds without denormals, which cost 15 times as much.
LEAST_EXPONENT = -80.0


class Codes(eqx.Module):
    """Code vectors and kernel width of every seed."""

    vectors: Float[Array, "r c p"]
    variance: Float[Array, " r"]


class Blocks(eqx.Module):
    """The data in blocks of equal length, padded by rows of weight 0."""

    data: Float[Array, "b m p"]
    weights: Float[Array, "b m"]

    @classmethod
    def create(cls, data: Float[Array, "n p"], rows_per_block: int = 4096) -> "Blocks":
        """Cut the data; how long the blocks are changes memory only."""
        rows = min(rows_per_block, len(data))
        padding = -len(data) % rows
        padded = jnp.pad(data, ((0, padding), (0, 0)))
        weights = jnp.pad(jnp.ones(len(data), data.dtype), (0, padding))
        return cls(padded.reshape(-1, rows, data.shape[1]), weights.reshape(-1, rows))


class Sums(eqx.Module):
    """What one pass of the data leaves: all that the maximisation needs."""

    membership: Float[Array, "r c"]
    moment: Float[Array, "r c p"]
    square: Float[Array, ""]
    log_likelihood: Float[Array, " r"]


class Trace(eqx.Module):
    """Convergence of one annealing step, a row per iteration."""

    objective: Float[Array, "t r"]
    variance: Float[Array, "t r"]
    change: Float[Array, "t r"]
    iterations: Int[Array, " r"]
    converged: Bool[Array, " r"]


def memberships(
    data: Float[Array, "m p"], codes: Codes
) -> tuple[Float[Array, "m r c"], Float[Array, "m r"]]:
    """Posterior of each node, and the log-likelihood of each vector, for every seed."""
    n_seeds, n_nodes, n_components = codes.vectors.shape
    flat = codes.vectors.reshape(-1, n_components)
    half_norm = 0.5 * jnp.sum(flat**2, -1)
    exponent = (data @ flat.T - half_norm).reshape(-1, n_seeds, n_nodes)
    exponent = exponent / codes.variance[:, None]
    top = jnp.max(exponent, -1, keepdims=True)
    weight = jnp.exp(jnp.maximum(exponent - top, LEAST_EXPONENT))
    total = jnp.sum(weight, -1, keepdims=True)
    norm = 0.5 * n_components * jnp.log(2 * jnp.pi * codes.variance) + jnp.log(n_nodes)
    own = 0.5 * jnp.sum(data**2, -1)[:, None] / codes.variance
    return weight / total, (jnp.log(total) + top)[..., 0] - own - norm


def expect(blocks: Blocks, codes: Codes) -> Sums:
    """Sums of the memberships over all particles: two matrix products per block."""
    n_seeds, n_nodes, n_components = codes.vectors.shape
    dtype = codes.vectors.dtype
    start = Sums(
        jnp.zeros((n_seeds, n_nodes), dtype),
        jnp.zeros((n_seeds, n_nodes, n_components), dtype),
        jnp.zeros((), dtype),
        jnp.zeros(n_seeds, dtype),
    )

    def add(sums: Sums, block: tuple[Array, Array]) -> tuple[Sums, None]:
        data, weights = block
        posterior, log_likelihood = memberships(data, codes)
        posterior = posterior * weights[:, None, None]
        moment = posterior.reshape(len(data), -1).T @ data
        return Sums(
            sums.membership + jnp.sum(posterior, 0),
            sums.moment + moment.reshape(sums.moment.shape),
            sums.square + jnp.sum(data**2 * weights[:, None]),
            sums.log_likelihood + weights @ log_likelihood,
        ), None

    return jax.lax.scan(add, start, (blocks.data, blocks.weights))[0]


def roughness(vectors: Float[Array, "r c p"], laplacian: Float[Array, "c c"]) -> Float[Array, " r"]:
    """The penalty q = tr VᵀLV of every seed."""
    return jnp.einsum("rcp,cd,rdp->r", vectors, laplacian, vectors)


def objective(
    sums: Sums, codes: Codes, laplacian: Float[Array, "c c"], regularisation: Float[Array, ""]
) -> Float[Array, " r"]:
    """The penalised negative log-likelihood F that the iteration lowers."""
    penalty = regularisation * roughness(codes.vectors, laplacian) / (2 * codes.variance)
    return penalty - sums.log_likelihood


def maximise(sums: Sums, laplacian: Float[Array, "c c"], regularisation: Float[Array, ""]) -> Codes:
    """Code vectors from (diag(Σu) + ϑL)V = UᵀX, then the width α = (Σu d² + ϑq) / ND."""
    n_components = sums.moment.shape[-1]
    system = jax.vmap(jnp.diag)(sums.membership) + regularisation * laplacian
    vectors = jnp.linalg.solve(system, sums.moment)
    cross = jnp.sum(vectors * sums.moment, (1, 2))
    own = jnp.sum(sums.membership * jnp.sum(vectors**2, -1), -1)
    distance = sums.square - 2 * cross + own
    penalty = regularisation * roughness(vectors, laplacian)
    variance = (distance + penalty) / (jnp.sum(sums.membership, -1) * n_components)
    return Codes(vectors, jnp.maximum(variance, jnp.finfo(variance.dtype).tiny * 1e6))


@partial(jax.jit, static_argnames="max_iterations")
def anneal(
    blocks: Blocks,
    codes: Codes,
    laplacian: Float[Array, "c c"],
    regularisation: Float[Array, ""],
    *,
    max_iterations: int,
    tolerance: float | Float[Array, ""],
) -> tuple[Codes, Trace]:
    """Iterate at one regularisation until every seed's code vectors have converged.

    A seed has converged when the RMS change of its code vectors is below `tolerance` of √α; from
    then on it stays as it is, whatever the others of the batch do.
    """
    n_seeds = len(codes.variance)
    empty = jnp.full((max_iterations, n_seeds), jnp.nan, codes.variance.dtype)
    trace = Trace(empty, empty, empty, jnp.zeros(n_seeds, int), jnp.zeros(n_seeds, bool))

    def unfinished(carry: tuple[Array, Codes, Trace]) -> Bool[Array, ""]:
        return (carry[0] < max_iterations) & ~jnp.all(carry[2].converged)

    def iterate(carry: tuple[Array, Codes, Trace]) -> tuple[Array, Codes, Trace]:
        iteration, old, trace = carry
        sums = expect(blocks, old)
        new = maximise(sums, laplacian, regularisation)
        moved = jnp.mean((new.vectors - old.vectors) ** 2, (1, 2))
        change = jnp.sqrt(moved / new.variance)
        going = ~trace.converged
        new = Codes(
            jnp.where(going[:, None, None], new.vectors, old.vectors),
            jnp.where(going, new.variance, old.variance),
        )

        def record(table: Array, value: Array) -> Array:
            return table.at[iteration].set(jnp.where(going, value, jnp.nan))

        trace = Trace(
            record(trace.objective, objective(sums, old, laplacian, regularisation)),
            record(trace.variance, new.variance),
            record(trace.change, change),
            trace.iterations + going,
            trace.converged | (change < tolerance),
        )
        return iteration + 1, new, trace

    _, codes, trace = jax.lax.while_loop(unfinished, iterate, (jnp.array(0), codes, trace))
    return codes, trace
