"""The latent class model's iterations on the device: padded shapes, so that few are compiled.

Rows, classes and columns are padded to the sizes of `bucket`; padding has no votes and no weight.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy
from jaxtyping import Array, Float, Int

PSEUDO_COUNT = 1.0
TOLERANCE = 1e-5  # nats per particle by which an iteration must raise the likelihood
_EMPTY = -1e30  # logarithm of the share of a class that is padding
_FLOOR = 1e-12  # of a rate


class Table(NamedTuple):
    """Votes with padding.

    Attributes:
        members: 1 where a column belongs to a run; the padding is a run of its own.
        weights: of the columns, 0 for padding.
    """

    votes: Float[Array, "m c"]
    counts: Float[Array, " m"]
    members: Float[Array, "r c"]
    weights: Float[Array, " c"]


class Fit(NamedTuple):
    """Parameters, and what the last E-step made of the votes.

    Attributes:
        mass: particles of every class.
        joint: votes of every class for every column.
        entropy: of all memberships, in nats.
    """

    log_weights: Float[Array, " g"]
    log_rates: Float[Array, "g c"]
    log_likelihood: Float[Array, ""]
    mass: Float[Array, " g"]
    joint: Float[Array, "g c"]
    entropy: Float[Array, ""]


def bucket(n: int, least: int = 8, factor: int = 2) -> int:
    """The next size of least · factor^i."""
    size = least
    while size < n:
        size *= factor
    return size


def pad_table(
    votes: Float[np.ndarray, "m c"],
    counts: Float[np.ndarray, " m"],
    n_classes: Int[np.ndarray, " r"],
    run_weights: Float[np.ndarray, " r"],
) -> Table:
    """Votes of single precision on the device."""
    m, c = votes.shape
    rows, columns, runs = bucket(m, 1024), bucket(c, 64), bucket(len(n_classes) + 1)
    members = np.zeros((runs, columns), np.float32)
    members[np.repeat(np.arange(len(n_classes)), n_classes), np.arange(c)] = 1
    members[-1, c:] = 1
    padded = np.zeros((rows, columns), np.float32)
    padded[:m, :c] = votes
    return Table(
        jnp.asarray(padded),
        jnp.asarray(pad(counts, rows)),
        jnp.asarray(members),
        jnp.asarray(pad(np.repeat(run_weights, n_classes), columns)),
    )


def reweigh(
    table: Table, counts: Float[np.ndarray, " m"], column_weights: Float[np.ndarray, " c"]
) -> Table:
    """The same votes of other numbers of particles and runs of other weights."""
    return table._replace(
        counts=jnp.asarray(pad(counts, len(table.counts))),
        weights=jnp.asarray(pad(column_weights, len(table.weights))),
    )


def pad(values: np.ndarray, size: int, otherwise: float = 0.0) -> np.ndarray:
    """A vector of single precision, longer."""
    out = np.full(size, otherwise, np.float32)
    out[: len(values)] = values
    return out


def pad_model(
    weights: Float[np.ndarray, " g"], rates: Float[np.ndarray, "g c"], columns: int
) -> tuple[Float[Array, " p"], Float[Array, "p q"]]:
    """Logarithms of shares and rates with padding."""
    g, c = rates.shape
    size = bucket(g)
    log_rates = np.zeros((size, columns), np.float32)
    log_rates[:g, :c] = np.log(rates)
    return jnp.asarray(pad(np.log(weights), size, _EMPTY)), jnp.asarray(log_rates)


@jax.jit
def shared_votes(table: Table) -> Float[Array, "c c"]:
    """Particles that every two columns share."""
    return (table.votes * table.counts[:, None]).T @ table.votes


@jax.jit
def resample_shares(
    table: Table,
    log_weights: Float[Array, " g"],
    log_rates: Float[Array, "g c"],
    run_weights: Float[Array, "b r"] | Float[np.ndarray, "b r"],
) -> Float[Array, "b g"]:
    """Share of every class where the runs have other weights, which may be 0."""
    by_run = jax.lax.map(lambda own: table.votes @ (log_rates * own).T, table.members)
    shape, flat = by_run.shape[1:], by_run.reshape(len(by_run), -1)

    def share(weights: Float[Array, " r"]) -> Float[Array, " g"]:
        joint = (weights @ flat).reshape(shape) + log_weights
        return table.counts @ jax.nn.softmax(joint, axis=1) / table.counts.sum()

    return jax.lax.map(share, jnp.asarray(run_weights))


@jax.jit
def posteriors(
    table: Table, log_weights: Float[Array, " g"], log_rates: Float[Array, "g c"]
) -> tuple[Float[Array, "m g"], Float[Array, " m"], Float[Array, " m"]]:
    """Posterior over the classes of every row, its log-likelihood, and its entropy."""
    joint = table.votes @ (log_rates * table.weights).T + log_weights
    top = joint.max(axis=1, keepdims=True)
    unnormalised = jnp.exp(joint - top)
    total = unnormalised.sum(axis=1, keepdims=True)
    posterior = unnormalised / total
    likelihood = (top + jnp.log(total))[:, 0]
    entropy = likelihood - jnp.sum(posterior * joint, axis=1)
    return posterior, likelihood, jnp.maximum(entropy, 0.0)


def _maximise(
    table: Table, mass: Float[Array, " g"], joint: Float[Array, "g c"]
) -> tuple[Float[Array, " g"], Float[Array, "g c"]]:
    """Most probable parameters, with one pseudo-count per run and class."""
    margin = joint.sum(axis=0) + 1e-6
    share = margin / ((table.members @ margin) @ table.members)
    smoothed = joint + PSEUDO_COUNT * share
    rates = smoothed / ((smoothed @ table.members.T) @ table.members)
    real = mass > -1
    weights = jnp.where(real, mass + 1e-3, 0)
    log_weights = jnp.where(real, jnp.log((mass + 1e-3) / weights.sum()), _EMPTY)
    return log_weights, jnp.log(jnp.maximum(rates, _FLOOR))


def _expect(table: Table, log_weights: Array, log_rates: Array) -> Fit:
    posterior, likelihood, entropy = posteriors(table, log_weights, log_rates)
    weighted = posterior * table.counts[:, None]
    # A class that is padding is marked by its mass.
    mass = jnp.where(log_weights > _EMPTY, weighted.sum(axis=0), -2.0)
    total = table.counts @ likelihood
    joint = weighted.T @ table.votes
    return Fit(log_weights, log_rates, total, mass, joint, table.counts @ entropy)


@jax.jit
def em(
    table: Table,
    log_weights: Float[Array, " g"],
    log_rates: Float[Array, "g c"],
    steps: Int[Array, ""] | int,
    tolerance: Float[Array, ""] | float,
) -> Fit:
    """Up to `steps` iterations, fewer once the likelihood per particle has converged."""
    least = tolerance * jnp.maximum(table.counts.sum(), 1.0)

    def unfinished(state: tuple[Array, Array, Fit]) -> Array:
        step, previous, fit = state
        return (step < steps) & (fit.log_likelihood - previous >= least)

    def step(state: tuple[Array, Array, Fit]) -> tuple[Array, Array, Fit]:
        done, _, fit = state
        new = _expect(table, *_maximise(table, fit.mass, fit.joint))
        return done + 1, fit.log_likelihood, new

    first = _expect(table, log_weights, log_rates)
    start = (jnp.asarray(0), jnp.asarray(-jnp.inf), first)
    return jax.lax.while_loop(unfinished, step, start)[2]


def merge_losses(
    weights: Float[Array, " g"], rates: Float[Array, "g c"], column_weights: Float[Array, " c"]
) -> Float[Array, "g g"]:
    """Likelihood per particle that merging two classes costs if memberships are certain."""

    def negentropy(p: Float[Array, "... c"]) -> Float[Array, ...]:
        return (p * jnp.log(jnp.maximum(p, _FLOOR))) @ column_weights

    own = weights * negentropy(rates)

    def row(i: Array) -> Float[Array, " g"]:
        total = jnp.maximum(weights[i] + weights, 1e-30)
        share = (weights[i] / total)[:, None]
        mixed = share * rates[i] + (1 - share) * rates
        mixing = total * jnp.log(total) - xlogy(weights[i], weights[i]) - xlogy(weights, weights)
        return own[i] + own - total * negentropy(mixed) - mixing

    g = len(weights)
    losses = jax.lax.map(row, jnp.arange(g))
    real = weights > 0
    return jnp.where(jnp.triu(real[:, None] & real, 1), losses, jnp.inf)


@partial(jax.jit, static_argnames="n_levels")
def descend(
    table: Table,
    log_weights: Float[Array, " g"],
    log_rates: Float[Array, "g c"],
    steps: Int[Array, " l"],
    n_levels: int,
) -> tuple[Fit, tuple[Float[Array, " g"], Float[Array, "g c"]]]:
    """Fits of so many numbers of classes, each after merging the cheapest pair of the one before.

    Args:
        table: votes.
        log_weights: shares of the first, with those of padding.
        log_rates: its rates.
        steps: EM iterations of each.
        n_levels: numbers of classes.

    Returns:
        The fits, stacked (a class that was merged away has no share), and the next start.
    """

    def level(model: tuple[Array, Array], steps: Array) -> tuple[tuple[Array, Array], Fit]:
        fit = em(table, *model, steps, TOLERANCE)
        real = fit.log_weights > _EMPTY
        weights, rates = jnp.where(real, jnp.exp(fit.log_weights), 0), jnp.exp(fit.log_rates)
        losses = merge_losses(weights, rates, table.weights)
        i, j = jnp.divmod(jnp.argmin(losses), len(weights))
        total = weights[i] + weights[j]
        mixed = (weights[i] * rates[i] + weights[j] * rates[j]) / total
        merged = fit.log_weights.at[i].set(jnp.log(total)).at[j].set(_EMPTY)
        return (merged, fit.log_rates.at[i].set(jnp.log(mixed))), fit

    following, fits = jax.lax.scan(level, (log_weights, log_rates), steps, n_levels)
    return fits, following
