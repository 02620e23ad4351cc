"""What a campaign will cost, said before it runs."""

from pathlib import Path

from emjax.campaign.costs import Facts
from emjax.campaign.estimate import estimate
from emjax.campaign.job import duration
from emjax.campaign.methods import long_jobs
from emjax.campaign.settings import complete
from tests.campaigns import tiny_config


def test_every_long_job_has_a_line_with_memory_and_times(particles: Path):
    config = complete(tiny_config(particles=str(particles / "particles.star")))
    first, maps, head, *lines, start, total, note = estimate(config)
    assert "300 particles of 48 px, 12 Fourier shells" in first
    # Of four classes maps and half-maps, differences and their mean, three maps, two superclasses.
    assert f"4 classes at full box: {22 * 4 * 48**3 / 1e6:.0f} MB" in maps
    frugal = list(estimate(config | {"export": ["relion"]}))[1]
    assert f"4 classes at full box: {12 * 4 * 48**3 / 1e6:.0f} MB" in frugal
    names = [name for name, _ in long_jobs(Facts(300, 48, 12), config)]
    assert [line[:24].strip() for line in lines] == names
    assert {"prepare_particles", "classify_em3d_s000", "build_consensus"} <= set(names)
    assert all(" GB" in line and line.endswith(" min") for line in lines)
    assert not any(" 0 min" in line for line in lines)
    assert start.startswith("starting 14 jobs") and start.endswith("45 s")
    assert total.startswith("one after the other") and "cluster" in note
    assert head.split() == "job memory per pass in all asked for".split()


def test_short_times_are_in_seconds_and_long_ones_in_hours():
    assert [duration(t) for t in (50.0, 119.0, 121.0, 8000.0)] == [
        "50 s",
        "119 s",
        "2 min",
        "2.2 h",
    ]
