"""The first words of a dozen campaigns, from clear to hopeless, beside the truth.

    python -m benchmarks.consensus_verdicts [--only NAME …] [--work FOLDER] [--check]

No headline may be greener than its campaign: each has moods that it may have (found is green, warn,
nothing). Sets are simulated; `realistic` is read from EMJAX_DATA or shared/data, and left out, said
aloud, where it is absent. A folder given by --work is kept and completed. With --check, exit 1
where a headline is too green or says the wrong number.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from benchmarks.consensus_campaigns import data_folder
from emjax.campaign.folder import CampaignFolder
from emjax.io.files import read_json, read_tsv
from emjax.io.particles.particle_set import read_particles, write_particles
from emjax.simulate.demo import BOX, PIXEL, write_set
from emjax.simulate.particles import Simulation, phantom, simulate
from tests.campaigns import Place, tiny_config

EM3D = {"n_classes": [4], "seeds": 5}
SHARES = np.array([0.4, 0.3, 0.2, 0.1])


@dataclass(frozen=True)
class Case:
    """A campaign and what its headline may be."""

    name: str
    particles: str
    truth: str
    moods: tuple[str, ...]
    classes: tuple[int, ...]  # numbers that are not wrong
    runs: dict[str, Any] = field(default_factory=lambda: {"em3d": EM3D})
    consensus: dict[str, Any] = field(default_factory=dict)


ANY = tuple(range(1, 20))
CASES = (
    Case("clear", "four", "four states", ("found",), (4,)),
    Case(
        "two seeds", "four", "four states", ("found", "warn"), (4,), {"em3d": EM3D | {"seeds": 2}}
    ),
    Case("one seed", "four", "four states", ("warn",), (4,), {"em3d": EM3D | {"seeds": 1}}),
    Case("six asked for", "four", "four states", ("warn",), (6,), consensus={"n_classes": 6}),
    Case(
        "labels alone",
        "four",
        "four states, a third of the labels wrong, six classes in each run",
        ("warn",),
        ANY,
        {"external": [{"name": f"x{i}", "path": f"four/labels{i}.star"} for i in range(3)]},
    ),
    Case("one state", "one", "one state", ("nothing",), (1,)),
    Case(
        "four asked of one",
        "one",
        "one state",
        ("warn", "nothing"),
        (4,),
        consensus={"n_classes": 4},
    ),
    Case("poses off", "off", "four states, poses off by 2° and 2 Å", ("found", "warn"), (4,)),
    Case("continuum", "continuum", "a domain that turns by 40°", ("warn", "nothing"), (1,)),
    Case(
        "too small", "small", "two states, 300 particles, a small domain", ("warn", "nothing"), (1,)
    ),
    Case("noise", "noise", "two states at a hundredth of the signal", ("warn",), (1,)),
    Case("realistic", "realistic", "four states, refined poses, 6 % junk", ("found", "warn"), (4,)),
)


def simulated(name: str) -> Simulation:
    """Images of a set."""
    four = phantom(4, BOX, seed=1)
    if name == "one":
        return simulate(four[:1], 2000, seed=2, pixel_size=PIXEL, snr=0.5)
    if name == "small":
        part = np.stack([four[0], four[0] + 0.15 * (four[1] - four[0])])
        return simulate(part, 300, seed=3, pixel_size=PIXEL, snr=0.5)
    if name == "noise":
        return simulate(four[:2], 2000, seed=4, pixel_size=PIXEL, snr=0.005)
    if name == "continuum":
        return simulate(turned(four), 3000, seed=5, pixel_size=PIXEL, snr=0.5)
    made = simulate(four, 3000, seed=1, pixel_size=PIXEL, snr=0.5, fractions=SHARES)
    if name == "four":
        return made
    rng = np.random.default_rng(6)
    off = Rotation.from_rotvec(np.deg2rad(rng.normal(0, 2 / np.sqrt(3), (3000, 3)))).as_matrix()
    shifts = made.shifts + rng.normal(0, 2.0, made.shifts.shape)
    return replace(
        made,
        rotations=(made.rotations @ off).astype(made.rotations.dtype),
        shifts=shifts.astype(made.shifts.dtype),
    )


def turned(four: np.ndarray, steps: int = 20) -> np.ndarray:
    """A domain in as many places as steps, 40° about the particle's centre."""
    domain, volumes = four[0] - four[1], []
    centre = np.full(3, BOX // 2)
    for angle in np.linspace(-20, 20, steps):
        matrix = Rotation.from_rotvec([np.deg2rad(angle), 0, 0]).as_matrix()
        volumes.append(
            four[1] + affine_transform(domain, matrix, centre - matrix @ centre, order=1)
        )
    return np.stack(volumes).astype(np.float32)


def particles_of(name: str, work: Path) -> Path | None:
    """The particle file of a set, made where it is not yet there."""
    if name == "realistic":
        star = data_folder() / name / "particles_refined.star"
        return star if star.exists() else None
    star = work / name / "particles.star"
    if not star.exists():
        write_set(star.parent, simulated(name))
    if name == "four":
        write_labels(star)
    return star


def write_labels(star: Path) -> None:
    """Three runs of another program: six classes, two states cut at random, a third wrong."""
    table = read_particles(star)
    truth = np.loadtxt(star.parent / "truth.csv", delimiter=",", skiprows=1, usecols=1).astype(int)
    shared = np.random.default_rng(7)
    cut = np.where((truth < 2) & (shared.random(len(truth)) < 0.5), truth + 4, truth)
    for i in range(3):
        rng = np.random.default_rng(8 + i)
        labels = np.where(rng.random(len(cut)) < 1 / 3, rng.integers(0, 6, len(cut)), cut)
        write_particles(star.parent / f"labels{i}.star", table, {"rlnClassNumber": labels + 1})


def run(case: Case, work: Path) -> tuple[str, bool] | None:
    """Headline of a campaign, and whether it may say so; None where its particles are absent."""
    star = particles_of(case.particles, work)
    if star is None:
        return None
    place = Place(work)
    # Campaigns on one set share what their options have in common.
    config = tiny_config(
        campaign=case.particles,
        particles=str(star),
        filter_resolution=24,
        runs=case.runs,
        consensus=case.consensus,
        export=[],
    )
    done = place.snakemake(config)
    if done.returncode:
        return done.stdout.strip().splitlines()[-1], False
    folder = CampaignFolder.of(case.particles, work)
    verdict = read_json(folder.verdict)
    found = len(read_tsv(folder.consensus.stability))
    good = verdict["mood"] in case.moods and found in case.classes
    return f"{verdict['mood']}: {verdict['badge']}. {verdict['headline']}", good


def main() -> int:
    """Run the campaigns and print the table."""
    parser = argparse.ArgumentParser(description="Headlines of campaigns beside the truth")
    parser.add_argument("--only", nargs="*", choices=[case.name for case in CASES])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        work = (options.work or Path(scratch)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        print("| campaign | truth | headline | may be | |\n| --- | --- | --- | --- | --- |")
        for case in chosen:
            found = run(case, work)
            headline, good = found or ("left out: no particles here", True)
            bad += not good
            may = " or ".join(case.moods)
            mark = "ok" if good else "MISSED"
            print(f"| {case.name} | {case.truth} | {headline} | {may} | {mark} |", flush=True)
    return int(bad > 0 and options.check)


if __name__ == "__main__":
    sys.exit(main())
