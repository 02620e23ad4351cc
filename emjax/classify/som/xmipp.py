"""KerDenSOM as Xmipp computes it, for comparison with its results.

Differs from `ecm` in the membership (d²/D), in a penalty D times too heavy in the width, in
code vectors and memberships kept in single precision, and in a truncated Gauss-Seidel solution.

Source: Pascual-Montano et al., J. Struct. Biol. 133 (2001) 233; trajectories of Xmipp's library.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from emjax.classify.som.ecm import LEAST_EXPONENT

_SWEEP_TOLERANCE = 1e-5
_MAX_SWEEPS = 100


class XmippMap(eqx.Module):
    """State of one map between iterations."""

    vectors: Float[Array, "c p"]
    sigma: Float[Array, ""]


class XmippTrace(eqx.Module):
    """Convergence of one annealing step, a row per iteration."""

    alpha: Float[Array, " t"]
    sigma: Float[Array, " t"]
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]


def memberships(
    data: Float[Array, "n p"], state: XmippMap
) -> tuple[Float[Array, "n c"], Float[Array, ""]]:
    """Memberships in single precision, and alpha = Σu d² / D of the unrounded ones."""
    n_pixels = data.shape[1]
    vectors = state.vectors.astype(data.dtype)
    distance = (
        jnp.sum(data**2, -1)[:, None] - 2 * data @ vectors.T + jnp.sum(vectors**2, -1)
    ) / n_pixels
    exponent = -distance / (2 * state.sigma)
    exponent = exponent - exponent.max(-1, keepdims=True)
    membership = jax.nn.softmax(jnp.maximum(exponent, LEAST_EXPONENT), -1)
    return membership.astype(jnp.float32), jnp.sum(membership * distance)


def random_start(data: Float[Array, "n p"], n_nodes: int, *, key: Array) -> XmippMap:
    """Code vectors and sigma of uniformly random memberships."""
    membership = jax.random.uniform(key, (len(data), n_nodes), data.dtype)
    membership = membership / jnp.sum(membership, -1, keepdims=True)
    weight = jnp.sum(membership, 0)
    vectors = (membership.T @ data / weight[:, None]).astype(jnp.float32)
    wide = vectors.astype(data.dtype)
    distance = (
        jnp.sum(data**2) - 2 * jnp.sum(wide * (membership.T @ data)) + weight @ jnp.sum(wide**2, -1)
    )
    return XmippMap(vectors, distance / data.size)


def _solve(
    vectors: Float[Array, "c p"],
    moment: Float[Array, "c p"],
    weight: Float[Array, " c"],
    laplacian: Float[Array, "c c"],
    regularisation: Float[Array, ""],
) -> Float[Array, "c p"]:
    """Gauss-Seidel sweeps over the nodes until Σ|ΔV| / Σ|V| is small, in single precision."""
    degree = jnp.diag(laplacian)
    neighbours = jnp.diag(degree) - laplacian

    def update(node: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        vectors, change, norm = carry
        around = neighbours[node] @ vectors.astype(moment.dtype)
        new = (moment[node] + regularisation * around) / (
            weight[node] + regularisation * degree[node]
        )
        new = new.astype(jnp.float32)
        old = vectors[node].astype(moment.dtype)
        change += jnp.sum(jnp.abs(new.astype(moment.dtype) - old))
        return vectors.at[node].set(new), change, norm + jnp.sum(jnp.abs(old))

    def sweep(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        zero = jnp.zeros((), moment.dtype)
        vectors, change, norm = jax.lax.fori_loop(0, len(weight), update, (carry[1], zero, zero))
        return carry[0] + 1, vectors, change / norm

    def unfinished(carry: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        return (carry[0] < _MAX_SWEEPS) & (carry[2] >= _SWEEP_TOLERANCE)

    start = (jnp.array(0), vectors, jnp.array(jnp.inf, moment.dtype))
    return jax.lax.while_loop(unfinished, sweep, start)[1]


@partial(jax.jit, static_argnames="max_iterations")
def anneal(
    data: Float[Array, "n p"],
    state: XmippMap,
    laplacian: Float[Array, "c c"],
    regularisation: Float[Array, ""],
    *,
    max_iterations: int,
    tolerance: float | Float[Array, ""] = 1e-7,
) -> tuple[XmippMap, XmippTrace]:
    """Iterate at one regularisation until sigma changes by less than `tolerance` of itself."""
    n_particles, n_pixels = data.shape
    empty = jnp.full(max_iterations, jnp.nan, data.dtype)
    trace = XmippTrace(empty, empty, jnp.array(0), jnp.array(False))

    def unfinished(carry: tuple[XmippMap, XmippTrace]) -> Bool[Array, ""]:
        return (carry[1].iterations < max_iterations) & ~carry[1].converged

    def iterate(carry: tuple[XmippMap, XmippTrace]) -> tuple[XmippMap, XmippTrace]:
        old, trace = carry
        membership, alpha = memberships(data, old)
        wide = old.vectors.astype(data.dtype)
        rough = jnp.sum(wide * (laplacian @ wide))
        sigma = (alpha + regularisation * rough) / (n_particles * n_pixels)
        membership = membership.astype(data.dtype)
        vectors = _solve(
            old.vectors, membership.T @ data, jnp.sum(membership, 0), laplacian, regularisation
        )
        trace = XmippTrace(
            trace.alpha.at[trace.iterations].set(alpha),
            trace.sigma.at[trace.iterations].set(sigma),
            trace.iterations + 1,
            jnp.abs(sigma / old.sigma - 1) < tolerance,
        )
        return XmippMap(vectors, sigma), trace

    return jax.lax.while_loop(unfinished, iterate, (state, trace))
