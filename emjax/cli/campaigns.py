"""Commands about a campaign: init, check, estimate, run, status, report, reproduce, demo."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emjax.cli.command import (
    Commands,
    add_command,
    add_config,
    add_profile,
    add_verbose,
    run_config,
)
from emjax.errors import OptionError


def add_commands(commands: Commands) -> None:
    """Add them to the parser."""
    parser = add_command(commands, init, "Write a commented configuration for a particle file.")
    parser.add_argument(
        "particles", metavar="PARTICLES", help="RELION .star or job folder, CryoSPARC .cs"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="to write (default: NAME.yaml)"
    )

    add_config(add_command(commands, check, "Check configuration and input; nothing is computed."))
    add_config(
        add_command(commands, estimate, "Memory, disk and time of a campaign, before it runs.")
    )

    parser = add_command(commands, run, "Run a campaign, or resume it.", passes_on=True)
    add_config(parser)
    add_profile(parser)
    add_verbose(parser)

    add_config(add_command(commands, status, "Where a campaign stands, and what it found."))

    parser = add_command(commands, report, "Where a campaign's report is.", passes_on=True)
    add_config(parser)
    parser.add_argument("--rebuild", action="store_true", help="write it again")
    parser.add_argument(
        "--snakemake",
        metavar="FILE",
        type=Path,
        nargs="?",
        const=Path("snakemake-report.zip"),
        help="write Snakemake's own report (default: snakemake-report.zip)",
    )

    parser = add_command(
        commands, reproduce, "Run a finished campaign again and compare its labels.", passes_on=True
    )
    parser.add_argument(
        "record", metavar="CAMPAIGN.json", type=Path, help="results/NAME/campaign.json"
    )
    add_profile(parser)

    parser = add_command(
        commands,
        demo,
        "Simulate particles, run their campaign, compare with the truth.",
        passes_on=True,
    )
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="?", help="for it all (default: the current)"
    )
    parser.add_argument("--particles", metavar="N", type=int, default=3000, help="(default: 3000)")
    parser.add_argument(
        "--config", metavar="CONFIG", type=Path, help="(default: demo.yaml, written)"
    )
    add_verbose(parser)


def init(options: argparse.Namespace) -> None:
    """Say what was guessed."""
    from emjax.campaign.init import draft_config, write_config

    draft = draft_config(options.particles)
    path = options.output or Path(f"{draft.config['campaign']}.yaml")
    write_config(path, draft.config)
    print(*draft.reasons, sep="\n")
    print(f"Written to {path}. Look it over, then: emjax check {path}")


def check(options: argparse.Namespace) -> None:
    """Doubts, one per line, and what was found."""
    from emjax.campaign.folder import CampaignFolder
    from emjax.campaign.origin import other_particles
    from emjax.campaign.settings import read_config
    from emjax.jobs.alone import CHECKS
    from emjax.jobs.check import check_campaign
    from emjax.jobs.focus import doubts_of_focus_file

    config = read_config(options.config)
    folder = CampaignFolder.of(config["campaign"])
    if complaint := other_particles(config["particles"], folder, config["job"]):
        raise ValueError(complaint)
    with _placed(options.config, config):
        if config["job"] in CHECKS:
            print(CHECKS[config["job"]](config))
        else:
            facts = check_campaign(config, print, version("emjax"))
            if focus := config["masks"]["focus"]:
                for doubt in doubts_of_focus_file(focus, facts):
                    print(f"warning: {doubt}")
            print(
                f"{facts.n_particles} particles of {facts.box_size} px at {facts.pixel_size:g} Å;"
                f" class maps of {facts.cropped_box_size} voxels at {facts.voxel_size:.2f} Å"
            )
    print(f"{options.config}: no error in it or in its input. Next: emjax run {options.config}")


def estimate(options: argparse.Namespace) -> None:
    """A table."""
    from emjax.campaign.alone import SHORT
    from emjax.campaign.estimate import estimate
    from emjax.campaign.settings import read_config

    config = read_config(options.config)
    if config["job"] in SHORT:
        print(f"The job {config['job']} takes minutes at most; only campaigns are estimated.")
        return
    with _placed(options.config, config):
        for line in estimate(config):
            print(line)


def run(options: argparse.Namespace) -> int:
    """Snakemake's exit status."""
    return run_config(options.config, options)


def status(options: argparse.Namespace) -> None:
    """A few lines."""
    from emjax.campaign.settings import read_config
    from emjax.campaign.status import status

    for line in status(read_config(options.config)):
        print(line)


def report(options: argparse.Namespace) -> int:
    """The path alone, so that it can be given to a browser."""
    from emjax.campaign.engine import run_snakemake, snakemake_command
    from emjax.campaign.folder import CampaignFolder
    from emjax.campaign.settings import read_config
    from emjax.errors import InputError

    page = CampaignFolder.of(read_config(options.config)["campaign"]).report
    arguments = options.further
    if options.snakemake:
        target, arguments = options.snakemake, ["--report", str(options.snakemake), *arguments]
    elif options.rebuild:
        target, arguments = page, [str(page), "--forcerun", "render_report", *arguments]
    elif not page.exists():
        raise InputError(
            page, None, "no report", f"a finished campaign: emjax run {options.config}"
        )
    elif arguments:
        options.parser.error(f"unrecognized arguments: {' '.join(arguments)}")
    else:
        print(page.absolute())
        return 0
    if code := run_snakemake(snakemake_command(options.config, arguments)):
        return code
    print(target.absolute())
    return 0


def reproduce(options: argparse.Namespace) -> int:
    """1 where labels differ."""
    from emjax.campaign.reproduce import compare_campaigns, particles_changed, repeat_campaign

    again = repeat_campaign(options.record, options.further, profile=options.profile)
    if particles_changed(options.record, again):
        print("the particle file has changed since")
    found = compare_campaigns(options.record, again)
    for name, same in found:
        print(f"{name}: {'the same labels' if same else 'DIFFERENT labels'}")
    return int(not all(same for _, same in found))


def demo(options: argparse.Namespace) -> int:
    """Snakemake's exit status."""
    from emjax.campaign.demo import run_demo

    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(options.folder)
    return run_demo(
        options.particles,
        lambda line: print(line, flush=True, file=sys.stdout),
        options.further,
        config=options.config,
        verbose=options.verbose,
    )


@contextmanager
def _placed(path: Path, config: dict[str, Any]) -> Iterator[None]:
    """Errors of the numerics, which know an option's name only, with its file and section."""
    try:
        yield
    except OptionError as error:
        runs = config["runs"].items()
        sections = (f"runs.{name}" for name, options in runs if error.option in (options or ()))
        section = "" if error.option in config else next(sections, "")
        raise error.at(path, section) from error
