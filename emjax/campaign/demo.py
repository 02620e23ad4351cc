"""The demo: simulated particles, their campaign, and how well it found what was simulated."""

from collections.abc import Callable, Sequence
from pathlib import Path

from emjax.campaign.engine import run_snakemake, snakemake_command
from emjax.campaign.folder import CampaignFolder
from emjax.campaign.init import draft_config, write_config
from emjax.campaign.settings import read_config

PARTICLES = Path("data/demo/particles.star")
CONFIG = Path("demo.yaml")


def run_demo(
    n_particles: int,
    say: Callable[[str], None],
    arguments: Sequence[str] = (),
    *,
    config: Path | None = None,
    verbose: bool = False,
) -> int:
    """Simulate particles where there are none yet, run their campaign, compare with the truth.

    Args:
        n_particles: to simulate.
        say: takes a line for the user.
        arguments: Snakemake's own.
        config: a campaign of the simulated particles; None: `demo.yaml`, written if need be.
        verbose: whether Snakemake speaks too.

    Returns:
        Exit status of Snakemake.
    """
    from emjax.simulate.demo import compare_with_truth, simulate_demo

    if not PARTICLES.exists():
        say(f"Simulating {n_particles} particles into {PARTICLES.parent}")
        simulate_demo(PARTICLES.parent, n_particles)
    if config is None:
        config = CONFIG
        if not config.exists():
            write_config(config, draft_config(PARTICLES).config)
            say(f"Wrote the campaign's options into {config}")
    if code := run_snakemake(
        snakemake_command(config, arguments, verbose=verbose), verbose=verbose
    ):
        return code
    folder = CampaignFolder.of(read_config(config)["campaign"])
    if folder.consensus.particles.star.exists() and folder.report.exists():
        say(compare_with_truth(PARTICLES.parent, folder.consensus.particles.star))
    return 0
