"""What a campaign will cost: memory, disk and time of its long jobs, before any of them runs.

Usage: estimate_costs.py CONFIG.yaml
"""

import sys

from emjax.campaign.costs import Facts, memory_mb, minutes
from emjax.campaign.methods import long_jobs
from emjax.campaign.settings import read_config
from emjax.imaging.crop import filter_radius
from emjax.io.particles.particle_set import read_particles

CORES = 2


def duration(seconds: float) -> str:
    """Seconds below two minutes, else minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def main(source: str) -> None:
    """Print a line for the campaign of a configuration file and one for each of its long jobs."""
    config = read_config(source)
    particles = read_particles(
        config["particles"], config["image_root"], on_mixed_optics=config["on_mixed_optics"]
    )
    box, pixel = particles.box_size, particles.pixel_size
    facts = Facts(particles.n, box, filter_radius(box, pixel, config["filter_resolution"]))
    disk = facts.images_mb / (2 if config["image_precision"] == "float16" else 1)
    print(
        f"Campaign {config['campaign']}: {facts.n} particles of {box} px,"
        f" {facts.radius} Fourier shells, prepared images of {disk:.0f} MB on disk"
    )
    print(f"{'job':24}{'memory':>10}{'a pass':>12}{'in all':>12}{'asked for':>12}")
    total = 0.0
    for name, cost in long_jobs(facts, config):
        total += cost.seconds
        print(
            f"{name:24}{memory_mb(cost, 1) / 1000:7.1f} GB"
            f"{cost.seconds_an_iteration / CORES:10.1f} s{duration(cost.seconds / CORES):>12}"
            f"{minutes(cost, 1):8} min"
        )
    print(f"{'one after the other':46}{duration(total / CORES):>12}")
    print(
        f"Times are those of {CORES} cores; starting and compiling add up to a minute to each job."
        " A cluster is asked for the memory and the last time."
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
