"""Rebalancing: superclasses of noisy averages of known views, invariance of the affinity, caps.

    python benchmarks/rebalance.py [--check] [--quick]

Prints a table; --check exits 1 where a stated bar is missed. --quick tries fewer noise levels.
"""

import argparse
import sys
import time

import numpy as np
from scipy import ndimage
from sklearn.metrics import adjusted_rand_score

from emjax.rebalance.affinity import image_affinity, volume_affinity
from emjax.rebalance.sizes import keep_particles, superclass_sizes
from emjax.rebalance.superclasses import superclasses
from emjax.simulate.images import gaussian_blobs

# Noise of an average over the standard deviation of its signal, up to which all must be right.
STATED_NOISE = 0.6
missed: list[str] = []


def row(what: str, found: str, bar: str, good: bool | None = None) -> None:
    """Print one line of the table and remember a missed bar."""
    verdict = "" if good is None else "ok" if good else "MISSED"
    print(f"| {what} | {found} | {bar} | {verdict} |", flush=True)
    if good is False:
        missed.append(what)


def view(seed: int, box_size: int = 64) -> np.ndarray:
    """A body without symmetry, well inside its box."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-12, 12, (7, 2))
    width, height = rng.uniform(2.5, 4.5, 7), rng.uniform(0.6, 1.4, 7)
    return gaussian_blobs(box_size, np.column_stack([place, width, height]))


def moved(image: np.ndarray, rng: np.random.Generator, mirror: bool = False) -> np.ndarray:
    """A copy rotated by any angle and shifted by up to 4 pixels."""
    image = image[:, ::-1] if mirror else image
    rotated = ndimage.rotate(image, rng.uniform(0, 360), reshape=False, order=3)
    return ndimage.shift(rotated, rng.uniform(-4, 4, 2), order=3)


def affinities() -> None:
    """An image and its copies; the matrix's properties."""
    rng = np.random.default_rng(0)
    worst, mirrored = 1.0, 1.0
    for seed in range(5):
        image = view(seed)
        stack = np.stack([image, *(moved(image, rng) for _ in range(4))]).astype(np.float32)
        affinity = image_affinity(stack)
        worst = min(worst, affinity.min())
        other = np.stack([image, moved(image, rng, mirror=True)]).astype(np.float32)
        mirrored = min(mirrored, image_affinity(other, mirror=True)[0, 1])
    row(
        "affinity of an image with its copies, least of 50", f"{worst:.4f}", "≥ 0.99", worst >= 0.99
    )
    row("the same, mirrored copies", f"{mirrored:.4f}", "≥ 0.99", mirrored >= 0.99)
    noise = rng.standard_normal((6, 64, 64)).astype(np.float32)
    affinity = image_affinity(noise)
    good = np.array_equal(affinity, affinity.T) and np.all(np.diag(affinity) == 1)
    good = bool(good and affinity.min() >= 0 and affinity.max() <= 1)
    row("symmetric, diagonal 1, within 0..1", str(good), "True", good)


def views(quick: bool) -> None:
    """40 averages of 6 views, rotated, shifted and noisy."""
    for noise in (0.2, 0.4) if quick else (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        scores, numbers, start = [], [], time.process_time()
        for seed in range(1 if quick else 3):
            rng = np.random.default_rng(seed)
            truth = rng.permutation(np.arange(40) % 6)
            images = np.stack([moved(view(10 * seed + t), rng) for t in truth])
            images += noise * images.std() * rng.standard_normal(images.shape)
            found = superclasses(image_affinity(images.astype(np.float32)), seed=seed)
            scores.append(adjusted_rand_score(truth, found.labels))
            numbers.append(found.n_superclasses)
        seconds = (time.process_time() - start) / len(scores)
        bar = "ARI 1 up to this noise" if noise <= STATED_NOISE else ""
        good = min(scores) == 1 if noise <= STATED_NOISE else None
        figures = f"ARI ≥ {min(scores):.2f}, {numbers} superclasses, {seconds:.1f} CPU s"
        row(f"40 averages of 6 views, noise {noise}, auto", figures, bar, good)


def volumes() -> None:
    """Volumes of two bodies with small changes."""
    rng = np.random.default_rng(0)
    bodies = [ndimage.gaussian_filter(rng.standard_normal((32,) * 3), 2.5) for _ in range(2)]
    noise = [ndimage.gaussian_filter(rng.standard_normal((32,) * 3), 2.5) for _ in range(6)]
    stack = np.stack([bodies[i % 2] + 0.3 * part for i, part in enumerate(noise)])
    found = superclasses(volume_affinity(stack))
    score = adjusted_rand_score([0, 1] * 3, found.labels)
    row("6 volumes of 2 bodies, auto", f"ARI {score:.2f}", "1", score == 1)


def caps() -> None:
    """Caps for each factor and the override; seeds."""
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [10000, 5000, 2900, 900]))
    of_class = np.array([0, 0, 1, 2])
    expected = {
        (0.0, None): [15000, 2900, 900],
        (0.3, None): [3000, 2900, 900],
        (1.0, None): [900, 900, 900],
        (0.3, 2000): [2000, 2000, 900],
    }
    for (factor, largest), sizes in expected.items():
        kept = keep_particles(labels, of_class, factor, largest, seed=1)
        found = superclass_sizes(labels[kept], of_class).tolist()
        name = f"factor {factor}" + (f", at most {largest}" if largest else "")
        row(f"sizes for {name}", str(found), str(sizes), found == sizes)
    once, again = (keep_particles(labels, of_class, 0.5, seed=7) for _ in range(2))
    same = np.array_equal(once, again)
    row("seeded twice", "the same" if same else "different", "the same", same)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print("| what | found | bar | |\n| --- | --- | --- | --- |", flush=True)
    affinities()
    views(options.quick)
    volumes()
    caps()
    if options.check and missed:
        sys.exit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
