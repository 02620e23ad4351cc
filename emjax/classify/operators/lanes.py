"""Work on blocks in threads: four lanes, so that sums do not depend on how many threads there are.

A lane adds up its blocks in their order, and which block goes to which lane is fixed; a machine
with fewer cores takes turns.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

import jax

from emjax.classify.operators.layout import LANES
from emjax.machine import cores

Item = TypeVar("Item")
Block = TypeVar("Block")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


@runtime_checkable
class InLane(Protocol):
    """What says which lane a block belongs to."""

    @property
    def lane(self) -> int:
        """Number of the lane, from 0."""
        ...


Rows = TypeVar("Rows", bound=InLane)


def threads_at_hand() -> int:
    """Lanes that can work at the same time on this machine."""
    return min(LANES, cores())


def _as_here(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """JAX's precision is each thread's own: work in that of the thread that asks for it."""
    double = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]

    def in_thread(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        with jax.enable_x64(double):
            return work(*arguments, **options)

    return in_thread


def at_once(
    work: Callable[[Item], Result], items: Sequence[Item], most: int = LANES
) -> list[Result]:
    """Work on items, at most so many at the same time; the results are in the items' order."""
    n_threads = min(threads_at_hand(), len(items), most)
    if n_threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(_as_here(work), items))


def in_lanes(
    work: Callable[[Rows, Block], Result], blocks: Iterable[tuple[Rows, Block]]
) -> Iterator[tuple[Rows, Result]]:
    """Work on blocks, those of a lane in their order, and yield the results in the blocks' order.

    The caller's thread makes the next blocks (reads their images) meanwhile.
    """
    n_threads, work = threads_at_hand(), _as_here(work)
    pending: deque[tuple[Rows, Future[Result]]] = deque()
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(n_threads)]
        for rows, block in blocks:
            pending.append((rows, threads[rows.lane % n_threads].submit(work, rows, block)))
            if len(pending) > 2 * n_threads:
                done, result = pending.popleft()
                yield done, result.result()
        for done, result in pending:
            yield done, result.result()
