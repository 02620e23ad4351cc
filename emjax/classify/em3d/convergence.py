"""What an iteration changed, its record, and whether a run has converged."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from emjax.classify.em3d.expectation import Tally
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.state import IterationRecord, RunState, Scene, Stage, clipped_fraction
from emjax.imaging.fsc import randomise_phases


def rms_change(
    volumes: Float[np.ndarray, "k d d d"],
    previous: Float[np.ndarray, "k d d d"],
    class_weights: Float[np.ndarray, " k"],
    scene: Scene,
) -> float:
    """RMS change of the class maps over the RMS of the mean map, weighted by class size."""
    change = np.sqrt(np.mean((volumes - previous) ** 2, (1, 2, 3)))
    reference = np.sqrt(np.mean(np.asarray(scene.mean_map * scene.solvent_mask) ** 2))
    return float(np.sum(class_weights * change) / reference)


def advance(
    state: RunState,
    tally: Tally,
    volumes: Float[np.ndarray, "k d d d"],
    fsc: Float[np.ndarray, "k s"],
    scene: Scene,
    options: Em3dOptions,
    stage: Stage = Stage.FULL,
    rate: float = 1.0,
) -> RunState:
    """The state after an iteration, with its record and the stopping rules applied.

    Only iterations over all particles, once the annealing has ended, can converge: fewer than
    `switch_convergence` of the particles changed class, or the mean of two iterations' map changes
    is below `rms_convergence`. Coarse ones converge by themselves; the last ones are counted.

    Args:
        state: before it.
        tally: of the pass.
        volumes: masked maps of the M-step.
        fsc: of their half-maps.
        scene: the mean map and masks at the iteration's frequencies.
        options: of the classification.
        stage: of the iteration.
        rate: weight of this pass in the class weights; less than 1 for mini-batches, whose sums
            for the maps are weighted by it too.
    """
    seen = tally.labels >= 0
    n, k = int(seen.sum()), state.run.n_classes
    weights = (rate * tally.mass / n + (1 - rate) * state.class_weights).astype(np.float32)
    both = seen & (state.labels >= 0) if len(state.labels) else np.zeros_like(seen)
    switched = float(np.mean(tally.labels[both] != state.labels[both])) if both.any() else 1.0
    rms = rms_change(volumes, state.volumes, weights, scene)
    similarity = options.similarity(state.iteration + 1)
    online = stage is Stage.ONLINE
    flow = ()
    if not online and state.history and state.history[-1].stage is not Stage.ONLINE:
        pairs = np.bincount(state.labels[both] * k + tally.labels[both], minlength=k * k)
        flow = tuple(map(tuple, pairs.reshape(k, k).tolist()))
    record = IterationRecord(
        iteration=state.iteration + 1,
        stage=stage,
        particles=n,
        log_likelihood=tally.log_likelihood / n,
        class_similarity=similarity,
        switched=switched,
        rms_change=rms,
        class_sizes=tuple(np.bincount(tally.labels[seen], minlength=k).tolist()),
        class_mass=tuple(tally.mass.tolist()),
        ess_histogram=tuple(tally.ess.tolist()),
        fsc=tuple(map(tuple, np.round(fsc, 4).tolist())),
        flow=flow,
    )
    before = not online and any(earlier.stage is stage for earlier in state.history)
    recent = [r.rms_change for r in state.history[-1:] if r.stage is stage] + [rms]
    settled = len(recent) == 2 and float(np.mean(recent)) < options.rms_convergence
    still = before and switched < options.switch_convergence
    converged = not online and similarity == 0 and (still or settled)
    labels = np.where(seen, tally.labels, state.labels) if len(state.labels) else tally.labels
    return replace(
        state,
        volumes=volumes,
        class_weights=weights,
        labels=labels,
        iteration=state.iteration + 1,
        converged=state.converged if stage is Stage.LAST else converged,
        history=(*state.history, record),
    )


def renumber(state: RunState, order: Int[np.ndarray, " k"]) -> RunState:
    """The record of a run with its classes in another order."""
    place = np.argsort(order)
    history = tuple(
        replace(
            record,
            class_sizes=tuple(record.class_sizes[k] for k in order),
            class_mass=tuple(record.class_mass[k] for k in order),
            fsc=tuple(record.fsc[k] for k in order),
            reseeded=tuple(int(place[k]) for k in record.reseeded),
            flow=tuple(tuple(record.flow[a][b] for b in order) for a in order if record.flow),
        )
        for record in state.history
    )
    return replace(state, history=history)


def least_particles(n: int) -> float:
    """Particles that a class must hold not to be dead: 10, or 0.1 % of all."""
    return max(10.0, 0.001 * n)


def dead_classes(class_mass: Float[np.ndarray, " k"], n: int) -> list[int]:
    """Classes (0-based) with fewer particles than a class must hold."""
    return [int(k) for k in np.flatnonzero(class_mass < least_particles(n))]


def reseed(
    state: RunState, dead: list[int], halves: Float[np.ndarray, "2 k d d d"], scene: Scene
) -> RunState:
    """Start dead classes anew from the largest living one, each with half of its particles.

    To its map comes noise of the strength at which its half-maps differ, with phases of its own:
    the half-maps themselves would part the particles by their half-sets.

    Args:
        state: after the iteration.
        dead: classes, 0-based.
        halves: half-maps of all classes, not masked.
        scene: its masks.
    """
    living = np.setdiff1d(np.arange(state.run.n_classes), dead)
    if not len(living):
        return state
    volumes, weights = state.volumes.copy(), state.class_weights.copy()
    inside = np.asarray(scene.solvent_mask * scene.focus_mask)
    for k in dead:
        largest = living[np.argmax(weights[living])]
        difference = halves[0, largest] - halves[1, largest]
        noise = randomise_phases(difference, 0, seed=(state.run.seed, state.iteration, k))
        volumes[k] = state.volumes[largest] + inside * noise
        weights[k] = weights[largest] = weights[largest] / 2
    record = replace(state.history[-1], reseeded=tuple(dead))
    return replace(
        state,
        volumes=volumes,
        class_weights=weights,
        converged=False,
        history=(*state.history[:-1], record),
    )


def warnings_of(
    state: RunState,
    class_mass: Float[np.ndarray, " k"],
    n: int,
    scene: Scene,
    options: Em3dOptions,
) -> tuple[str, ...]:
    """Named warnings of a finished run."""
    found = []
    k, least = state.run.n_classes, least_particles(n)
    if k * least > n:
        found.append(
            f"n_classes: {k} classes are more than {n} particles can fill; with fewer than"
            f" {least:.0f} a class is dead"
        )
    found += [
        f"class {k + 1} is dead: {class_mass[k]:.0f} of {n} particles"
        for k in dead_classes(class_mass, n)
    ]
    for c in range(k):
        if times := [record.iteration for record in state.history if c in record.reseeded]:
            found.append(f"class {c + 1} had died and was started anew after iteration {times[-1]}")
    focus = np.asarray(scene.focus_mask)
    clipped = clipped_fraction(focus, np.asarray(scene.solvent_mask))
    # Soft edges overlap a little; without a focus mask it is 1 everywhere.
    if focus.min() < 1 and clipped > 0.01:
        found.append(
            f"masks.focus: {100 * clipped:.0f} % of it lies outside the solvent mask and has no"
            " effect"
        )
    # The last iterations filter otherwise: what they move says nothing about the search.
    search = [record for record in state.history if record.stage is not Stage.LAST]
    switched = search[-1].switched if search else 0.0
    if state.converged and switched >= options.switch_convergence > 0:
        found.append(
            f"rms_convergence stopped it while {100 * switched:.1f} % of the particles changed"
            " class in the end: classes that differ little may have been growing apart; 0 lets them"
        )
    if not state.converged:
        found.append(f"not converged after {state.iteration} iterations")
    return tuple(found)
