"""Time and memory with the number of particles, and the same bits however a campaign is run.

Usage: python benchmarks/scaling.py [--check] [--only PART ...] [--quick]
Parts: linear (2,000, 20,000 and 200,000 synthetic particles of 64 pixels alternately, all
frequencies, K = 4, one seed and ten, at most 4 GB for each number; a pass is E-step and insertion,
an iteration solves the maps too), bits (alone, in a batch, after a restart, on 1 and 4 devices,
with both backends), prepare (the pass over a stack of 256 pixels, beside reading alone; wall time,
no page of it in memory unless TMPDIR is memory). CPU seconds but for the last.
--quick: up to 20,000. --check: exit 1 where a bar is missed.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

PARTS = ("linear", "bits", "prepare")
NUMBERS, CLASSES, SEEDS = (2_000, 20_000, 200_000), 4, (1, 10)
RESOLUTION, MEMORY_GB = 12.4, 4.0


def linear(numbers: Sequence[int]) -> dict:
    """CPU ms per particle for each number of seeds, of a pass and of an iteration; most memory."""
    from engine_data import (
        beside,
        noise_particles,
        one_iteration,
        one_pass,
        peak_gigabytes,
        sweep_seconds,
    )

    from emjax.classify.operators.passes import make_engine

    numbers = sorted(numbers)
    with tempfile.TemporaryDirectory() as folder:
        engines = []
        for n in reversed(numbers):
            particles = noise_particles(n, RESOLUTION, Path(folder) / f"{n}.npy")
            engines.append(make_engine(particles, MEMORY_GB))
            if len(engines) == 1:
                # Nobody has a second engine in the same process: the most that the largest needs.
                sweep_seconds(engines[0], CLASSES, max(SEEDS), repeats=1)
                peak = peak_gigabytes()
        engines = engines[::-1]
        taken = {
            f"{name} of {seeds * CLASSES} classes": [
                1000 * s / n
                for s, n in zip(beside(engines, CLASSES, seeds, work), numbers, strict=True)
            ]
            for name, work in (("pass", one_pass), ("iteration", one_iteration))
            for seeds in SEEDS
        }
        kept = engines[-1].n_kept / len(engines[-1].layout.blocks)
        return {"ms": taken, "gb": peak, "kept": kept}


def bits(backend_name: str) -> dict:
    """Hashes of the run of seed 0: alone, in a batch, and taken up again after 2 iterations."""
    import jax

    from emjax.classify.em3d.iterations import classify
    from emjax.classify.em3d.options import Em3dOptions
    from emjax.classify.em3d.state import Run, make_scene
    from emjax.classify.operators import native, sparse
    from emjax.classify.operators.passes import make_engine
    from emjax.imaging.masks import sphere
    from emjax.imaging.prepare import PrepareOptions, estimate

    with tempfile.TemporaryDirectory() as folder:
        from engine_data import noise_particles

        particles = noise_particles(1000, 24.0, Path(folder) / "images.npy")
        # Noise alone will do: every bit counts.
        particles = particles.take(np.arange(particles.n))
        mask = sphere(particles.box_size)
        particles, mean = estimate(
            particles, np.ones((1, particles.radius + 3)), PrepareOptions(24.0), mask
        )
    engine = make_engine(
        particles, backend={"native": native, "sparse": sparse}[backend_name], block_pixels=20_000
    )
    scene, options = make_scene(mean.volume, mask), Em3dOptions(full_iterations=3)
    states = []
    runs = [Run(3, 0), Run(5, 1), Run(4, 2), Run(4, 3), Run(3, 4)]
    alone = classify(engine, scene, runs[:1], options, on_iteration=states.append)[0]
    batch = classify(engine, scene, runs[::-1], options)[-1]
    again = classify(engine, scene, runs[:1], options, resume=states[-2])[0]
    found = {
        name: hashlib.sha256(result.maps.tobytes() + result.posteriors.tobytes()).hexdigest()[:8]
        for name, result in (("alone", alone), ("batch", batch), ("restart", again))
    }
    return found | {"devices": len(jax.devices())}


def prepare(n: int) -> dict:
    """Gigabytes per second of a stack read alone, and of the pass that prepares it."""
    from emjax.imaging.crop import crop_images, grid_for

    d, pixel_size, rng = 256, 1.5, np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stack.npy"
        stack = np.lib.format.open_memmap(path, "w+", np.float32, (n, d, d))
        for start in range(0, n, 500):
            shape = stack[start : start + 500].shape
            stack[start : start + 500] = rng.standard_normal(shape, np.float32)
        stack.flush()
        del stack
        grid = grid_for(d, pixel_size, 4.0)
        out = np.empty((n, int(grid.kx.shape[0])), np.complex64)

        def read() -> None:
            buffer = bytearray(2**25)
            with path.open("rb") as file:
                while file.readinto(buffer):
                    pass

        def crop() -> None:
            images = np.load(path, mmap_mode="r")
            micrograph = np.arange(n) // 100
            crop_images(
                lambda rows: np.array(images[rows]), np.zeros((n, 2)), micrograph, pixel_size,
                grid, out,
            )  # fmt: skip

        crop()
        taken = [[_cold_seconds(work, path) for work in (read, crop)] for _ in range(5)]
        alone, prepared = n * d * d * 4e-9 / np.median(taken, 0)
        return {"read": alone, "prepare": prepared}


def _cold_seconds(work: Callable[[], None], path: Path) -> float:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _process(part: str, value: str, devices: int = 1) -> dict:
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags}
    command = [sys.executable, __file__, "--one", part, value]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    result = json.loads(done.stdout.splitlines()[-1])
    print(part, value, result, flush=True)
    return result


def rows_of(parts: list[str], quick: bool) -> list[tuple[str, str, str, bool | None]]:
    """What was measured, the figure, the bar, and whether it holds."""
    rows: list[tuple[str, str, str, bool | None]] = []
    if "linear" in parts:
        numbers = NUMBERS[:2] if quick else NUMBERS
        found = _process("linear", json.dumps(numbers))
        for work, taken in found["ms"].items():
            each = ", ".join(f"{n:,}: {ms:.3f}" for n, ms in zip(numbers, taken, strict=True))
            spread = max(taken) / min(taken) - 1
            rows.append((
                f"a {work}, CPU ms per particle of {each}".replace("a i", "an i"),
                f"{100 * spread:.0f} % apart", "≤ 20 %", spread <= 0.2,
            ))  # fmt: skip
        kept, most = f"{100 * found['kept']:.0f} %", found["gb"]
        rows.append((f"blocks of {numbers[-1]:,} particles that stay in memory", kept, "", None))
        rows.append((
            f"most memory, {numbers[-1]:,} particles, {CLASSES * max(SEEDS)} classes",
            f"{most:.2f} GB", f"≤ {MEMORY_GB:g} GB", most <= MEMORY_GB,
        ))  # fmt: skip
    if "bits" in parts:
        for backend in ("native", "sparse"):
            found = [_process("bits", backend, devices) for devices in (1, 4)]
            hashes = {r[name] for r in found for name in ("alone", "batch", "restart")}
            rows.append((
                f"{backend}: alone, in a batch, restarted, on 1 and {found[1]['devices']} devices",
                "the same bits" if len(hashes) == 1 else "differ", "the same", len(hashes) == 1,
            ))  # fmt: skip
    if "prepare" in parts:
        found = _process("prepare", "3000")
        speeds = f"{found['read']:.1f} GB/s; {found['prepare']:.2f} GB/s"
        rows.append(("a stack of 256 pixels read alone; prepared at 4 Å", speeds, "", None))
    return rows


def main() -> int:
    """Run the parts, print the table."""
    parser = argparse.ArgumentParser(description="The engine's scaling")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        part, value = arguments.one
        work = {"linear": lambda: linear(json.loads(value)), "bits": lambda: bits(value)}
        work["prepare"] = lambda: prepare(int(value))
        print(json.dumps(work[part]()))
        return 0
    rows = rows_of(arguments.only, arguments.quick)
    print("\n| what | found | bar | |\n| --- | --- | --- | --- |")
    for what, found, bar, holds in rows:
        verdict = "" if holds is None else "ok" if holds else "MISSED"
        print(f"| {what} | {found} | {bar} | {verdict} |")
    return int(arguments.check and any(holds is False for *_, holds in rows))


if __name__ == "__main__":
    sys.exit(main())
