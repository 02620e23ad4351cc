"""3D classification without alignment: expectation-maximisation over K volumes at fixed poses.

Images F_i, slices P_i with CTF, scale and noise in their weights: ℓ_ik = −½|F_i − P_i M(V_k)|²,
posteriors p_ik ∝ π_k exp((1−β)·ℓ_ik), M(V) = S·(F·V + (1−F)·V̄) with solvent mask S, focus mask F
and mean map V̄. Every run (a number of classes and a seed) has its own columns in the engine's one
pass; nothing a run computes depends on the other runs of its batch.

Source: Scheres et al., Nat. Methods 4 (2007) 27; online EM: Cappé & Moulines, J. R. Stat. Soc. B 71
(2009) 593; Punjani et al., Nat. Methods 14 (2017) 290.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float

from emjax.classify.classification import Classification
from emjax.classify.em3d.coarse import Setup, coarse_setup, coarsen_maps, to_all_frequencies
from emjax.classify.em3d.convergence import (
    advance,
    dead_classes,
    renumber,
    reseed,
    warnings_of,
)
from emjax.classify.em3d.expectation import Tally, insert_columns, sweep
from emjax.classify.em3d.maximisation import mask_volumes, solve_classes, solve_differences
from emjax.classify.em3d.options import Em3dOptions
from emjax.classify.em3d.start import GivenComponents, overall, start_runs
from emjax.classify.em3d.state import Run, RunState, Scene, Stage
from emjax.classify.operators.accumulator import Sums
from emjax.classify.operators.lanes import at_once
from emjax.classify.operators.passes import Engine
from emjax.resolution import resolution_at

NO_SEED = -1  # of mini-batches in the engine's own order
GIVEN = ("input", "components")  # first maps that are the same, or nearly so, for every seed
SOLVING_BYTES = 50  # a voxel, while one run's maps are solved class by class

Listener = Callable[[Sequence[RunState]], None]
Result = TypeVar("Result")


def classify(
    engine: Engine,
    scene: Scene,
    runs: Sequence[Run],
    options: Em3dOptions,
    *,
    initial_volumes: dict[Run, Float[np.ndarray, "k d d d"]] | None = None,
    components: GivenComponents | None = None,
    resume: Sequence[RunState] | None = None,
    on_start: Listener = lambda states: None,
    on_iteration: Listener = lambda states: None,
    everyone: Engine | None = None,
) -> list[Classification]:
    """Classify the engine's particles once for every run, all runs in one pass per iteration.

    Args:
        engine: the particles in blocks.
        scene: mean map and masks.
        runs: numbers of classes and seeds.
        options: of the classification.
        initial_volumes: first maps of each run, for `input`.
        components: found elsewhere, for `variability` and `components`; fitted where None.
        resume: states of an interrupted call with the same runs, as `on_iteration` got them.
        on_start: called with all states before the first iteration, unless they resume.
        on_iteration: called with all states after the online stage and after each iteration over
            all particles.
        everyone: all particles, where `engine` holds a limited number of them; the last pass
            assigns these.

    Returns:
        One result per run, in the order of `runs`; not converging is a result, not an error.
    """
    whole = Setup(engine, scene)
    states = list(resume or [])
    if not states or states[0].stage is Stage.COARSE:
        coarse = coarse_setup(whole, options)
        if states and not coarse:
            raise ValueError("resume: found runs in a coarse stage, which these options leave out")
        first = coarse or whole
        if not states:
            given = coarsen_maps(initial_volumes, whole, coarse) if coarse else initial_volumes
            states = start_runs(first.engine, first.scene, runs, options, given, components)
            stage = Stage.COARSE if coarse else Stage.FULL
            states = [replace(s, stage=stage) for s in states]
            on_start(states)
            if options.online_epochs:
                states = online(first.engine, first.scene, states, options)
                on_iteration(states)
        states = _settle(first, states, options, on_iteration)
        if coarse:
            states = to_all_frequencies(states, coarse, whole)
        del coarse, first  # their blocks make room
    for stage in (Stage.FULL, Stage.LAST):
        if states[0].stage is stage:
            states = _settle(whole, states, options, on_iteration)
            states = [replace(s, stage=Stage.LAST) for s in states]
    if everyone:
        engine.forget_blocks()
    return finish(everyone or engine, scene, states, options)


def _settle(
    setup: Setup, states: list[RunState], options: Em3dOptions, on_iteration: Listener
) -> list[RunState]:
    """Iterations over all particles until every run has converged, or had as many as it may."""
    while any(_unfinished(s, options) for s in states):
        states = iterate(setup.engine, setup.scene, states, options)
        on_iteration(states)
    return states


def _unfinished(state: RunState, options: Em3dOptions) -> bool:
    if state.stage is Stage.LAST:
        return options.fsc_filter and state.done < options.last_iterations
    return not state.converged and state.done < options.full_iterations


def online(
    engine: Engine, scene: Scene, states: Sequence[RunState], options: Em3dOptions
) -> list[RunState]:
    """Online EM: an M-step after each mini-batch, on sums and shares that forget at the same rate.

    Mini-batches are consecutive blocks of the engine's shuffled order, about 1000 particles a
    class, so runs of one K see the same ones whatever else the batch of runs holds. Runs that
    start from given maps or components differ by hardly more than the order of these mini-batches:
    it is their seed's own, and their passes are too.
    """

    def order_of(i: int) -> tuple[int, int]:
        run = states[i].run
        return run.n_classes, run.seed if options.initial in GIVEN else NO_SEED

    done = list(states)
    for (k, seed), members in groupby(sorted(range(len(states)), key=order_of), key=order_of):
        indices = list(members)
        for part in engine.portions([k] * len(indices)):
            own = indices[part]
            group = _online_group(engine, scene, [states[i] for i in own], options, k, seed)
            for i, state in zip(own, group, strict=True):
                done[i] = state
    return done


def _online_group(
    engine: Engine, scene: Scene, states: list[RunState], options: Em3dOptions, k: int, seed: int
) -> list[RunState]:
    batches = engine.layout.batches(options.online_batch_per_class * k)
    if seed != NO_SEED:
        order = np.random.default_rng((seed, k)).permutation(len(batches))
        batches = [batches[i] for i in order.tolist()]
    n_iterations = options.online_epochs * len(batches)
    running: Sums | None = None
    for iteration in range(1, n_iterations + 1):
        batch = batches[(iteration - 1) % len(batches)]
        blocks = ((engine.layout.blocks[i], engine.block(i)) for i in batch.tolist())
        similarity = options.similarity(states[0].iteration + 1)
        sums, tallies = sweep(engine, blocks, states, similarity, options.hard)
        rate = 1.0 if running is None else options.rate(iteration, n_iterations)
        seen = sum(len(engine.layout.blocks[i].rows) for i in batch.tolist())
        blended = _blend(running or sums, sums, rate, engine.particles.n / seen)
        maximise = partial(
            _maximise,
            sums=blended,
            engine=engine,
            scene=scene,
            options=options,
            stage=Stage.ONLINE,
            rate=rate,
        )
        states = _at_once(engine, maximise, states, tallies)
        running = blended
    return states


@jax.jit
def _blend(
    running: Sums, sums: Sums, rate: float | Float[Array, ""], factor: float | Float[Array, ""]
) -> Sums:
    """(1−η)·running + η·factor·sums; the factor scales a mini-batch to all particles."""
    return jax.tree.map(lambda a, b: (1 - rate) * a + rate * factor * b, running, sums)


def iterate(
    engine: Engine, scene: Scene, states: Sequence[RunState], options: Em3dOptions
) -> list[RunState]:
    """One full iteration of every run that has not converged; the others stay as they are."""
    updated: dict[Run, RunState] = {}
    active = [s for s in states if _unfinished(s, options)]
    # Runs are at different iterations; only where they still anneal can they not share a pass.
    betas = {s.run: options.similarity(s.iteration + 1) for s in active}
    for similarity in sorted(set(betas.values())):
        group = [s for s in active if betas[s.run] == similarity]
        for part in engine.portions([s.run.n_classes for s in group]):
            own = group[part]
            sums, tallies = sweep(engine, engine.blocks(), own, similarity, options.hard)
            maximise = partial(_maximise, sums=sums, engine=engine, scene=scene, options=options)
            updated |= {s.run: s for s in _at_once(engine, maximise, own, tallies)}
    return [updated.get(s.run, s) for s in states]


def _at_once(
    engine: Engine,
    work: Callable[[RunState, Tally], Result],
    states: Sequence[RunState],
    tallies: Sequence[Tally],
) -> list[Result]:
    """Work on the runs, some at the same time: as many as fit in an eighth of the memory."""
    gigabytes = SOLVING_BYTES * engine.grid.box_size**3 / 1e9
    fitting = max(1, int(engine.memory_gb / 8 / gigabytes))
    pairs = list(zip(states, tallies, strict=True))
    return at_once(lambda pair: work(*pair), pairs, fitting)


def _maximise(
    state: RunState,
    tally: Tally,
    sums: Sums,
    engine: Engine,
    scene: Scene,
    options: Em3dOptions,
    stage: Stage | None = None,
    rate: float = 1.0,
) -> RunState:
    """M-step of one run, its record and stopping rules, and the policy for dead classes."""
    columns = slice(tally.start, tally.start + state.run.n_classes)
    maps, halves, fsc = solve_classes(sums, columns, scene, engine.grid, options)
    if state.stage is Stage.LAST:
        maps = solve_differences(sums, columns, scene, engine.grid, options.symmetry)
    volumes = np.array(mask_volumes(maps, scene))
    stage_now = stage or state.stage
    state = advance(state, tally, volumes, np.asarray(fsc), scene, options, stage_now, rate)
    n = int((tally.labels >= 0).sum())
    goes_on = state.stage is not Stage.LAST and (
        stage
        or state.stage is Stage.COARSE
        or _unfinished(replace(state, converged=False), options)
    )
    if options.dead_class == "reseed" and goes_on and (dead := dead_classes(tally.mass, n)):
        state = reseed(state, dead, np.asarray(halves), scene)
    return state


def finish(
    engine: Engine, scene: Scene, states: Sequence[RunState], options: Em3dOptions
) -> list[Classification]:
    """Final posteriors without annealing, and the maps they give, weighted and from labels."""
    parts = engine.portions([s.run.n_classes for s in states])
    return [r for part in parts for r in _finish(engine, scene, states[part], options)]


def _finish(
    engine: Engine, scene: Scene, states: Sequence[RunState], options: Em3dOptions
) -> list[Classification]:
    sums, tallies = sweep(engine, engine.blocks(), states, 0.0, options.hard, keep_posteriors=True)
    labels = [
        t.labels[:, None] == np.arange(s.run.n_classes)
        for s, t in zip(states, tallies, strict=True)
    ]
    hard_sums = insert_columns(engine, np.concatenate(labels, 1))
    result = partial(
        _result, sums=sums, hard_sums=hard_sums, engine=engine, scene=scene, options=options
    )
    return _at_once(engine, result, states, tallies)


def _result(
    state: RunState,
    tally: Tally,
    sums: Sums,
    hard_sums: Sums,
    engine: Engine,
    scene: Scene,
    options: Em3dOptions,
) -> Classification:
    n, k = engine.particles.n, state.run.n_classes
    columns = slice(tally.start, tally.start + k)
    maps, halves, fsc = solve_classes(sums, columns, scene, engine.grid, options)
    hard_maps, _, _ = solve_classes(hard_sums, columns, scene, engine.grid, options)
    sizes = np.bincount(tally.labels, minlength=k)
    order = np.argsort(-sizes, kind="stable") if options.reorder_by_size else np.arange(k)
    state = renumber(state, order)
    assert tally.posteriors is not None
    tally.posteriors[:] = tally.posteriors[:, order]  # of all runs, too large for a second copy
    class_maps = np.asarray(mask_volumes(maps, scene))[order]
    fsc = np.asarray(fsc)[order]
    return Classification(
        method="em3d",
        seed=state.run.seed,
        labels=np.argsort(order)[tally.labels].astype(np.int32),
        posteriors=tally.posteriors,
        maps=class_maps,
        half_maps=np.asarray(halves)[:, order],
        hard_maps=np.asarray(hard_maps)[order],
        fsc=fsc,
        log_likelihood=tally.log_likelihood / n,
        converged=state.converged,
        iterations=len(state.history),
        history=state.history,
        ess_histogram=tally.ess,
        warnings=warnings_of(state, tally.mass[order], n, scene, options),
        facts={
            "resolution": [resolution_at(curve, engine.particles.extent) for curve in fsc],
            "difference_from_mean": difference_from_mean(class_maps, scene),
            "initial_difference": overall(state.initial_differences),
            "initial_differences": [state.initial_differences[k] for k in order],
            "initial_numbers": (order + 1).tolist(),  # of the first map of each class
        },
    )


def difference_from_mean(maps: Float[np.ndarray, "k d d d"], scene: Scene) -> list[float]:
    """RMS difference of each class map from the mean map, over the mean map's RMS."""
    mean = np.asarray(scene.solvent_mask * scene.mean_map)
    return np.sqrt(np.mean((maps - mean) ** 2, (1, 2, 3)) / np.mean(mean**2)).tolist()
