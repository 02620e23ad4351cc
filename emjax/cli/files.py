"""Commands about particle files: select, export, convert."""

import argparse
from pathlib import Path

from emjax.cli.command import Commands, add_command

FORMATS = (
    *("relion", "cryosparc", "cryodrgn", "table", "chimerax"),
    *("maps", "superclasses", "zip"),
)


def add_commands(commands: Commands) -> None:
    """Add them to the parser."""
    parser = add_command(commands, select, "Write the particles of some classes for the next job.")
    parser.add_argument(
        "source",
        metavar="CONFIG|PARTICLES",
        type=Path,
        help="a campaign's YAML file, or a particle file with classes",
    )
    parser.add_argument("--classes", metavar="K", type=int, nargs="+", default=[], help="numbers")
    parser.add_argument("--min-stability", metavar="X", type=float, help="0 to 1")
    parser.add_argument("--min-posterior", metavar="X", type=float, help="of their class, 0 to 1")
    parser.add_argument(
        "--group",
        metavar="ID",
        type=int,
        nargs="+",
        default=[],
        help="particles that all runs keep together, by the id in consensus/intersections.tsv",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help=".cs for CryoSPARC, else STAR",
    )
    _add_image_root(parser)

    parser = add_command(commands, export, "Write a campaign's classes for other programs.")
    parser.add_argument(
        "results", metavar="RESULTS", type=Path, help="results/<campaign>; export/ is written there"
    )
    parser.add_argument(
        "particles", metavar="PARTICLES", help="the campaign's input: STAR, job folder, .cs or .csg"
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        help="(default: all; without --run all but zip, the maps once more in one file)",
    )
    parser.add_argument(
        "--run",
        metavar="RUN",
        dest="of",  # `run` is what the command does
        help="classes of a single run, such as em3d-K04-s000; written to export/ in its folder",
    )
    _add_image_root(parser)

    parser = add_command(
        commands, convert, "Translate a particle file between RELION and CryoSPARC."
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="STAR file, RELION job folder, .cs or .csg"
    )
    parser.add_argument("target", metavar="TARGET", help="to write; .cs for CryoSPARC, else STAR")
    parser.add_argument(
        "--passthrough",
        metavar="FILE",
        help="the original that SOURCE was translated from (default: the file beside it)",
    )
    parser.add_argument(
        "--box-size", type=int, default=0, help="pixels, where neither file nor stacks say"
    )
    _add_image_root(parser)


def select(options: argparse.Namespace) -> None:
    """Say how many of how many."""
    from emjax.campaign.folder import CampaignFolder
    from emjax.campaign.select import Wanted, consensus_file, select_particles, write_selection
    from emjax.campaign.settings import read_config

    source, root = options.source, options.image_root
    inputs = [source]
    if source.suffix in (".yaml", ".yml"):
        config = read_config(source)
        campaign, root = CampaignFolder.of(config["campaign"]), root or config["image_root"]
        source = consensus_file(campaign, options.output.suffix)
        inputs += [source, Path(config["particles"])]
    wanted = Wanted(
        tuple(options.classes), options.min_stability, options.min_posterior, tuple(options.group)
    )
    if wanted == Wanted():
        options.parser.error("expected --classes, --min-stability, --min-posterior or --group")
    if options.output.suffix not in (".star", ".cs"):
        options.parser.error(f"-o: found {options.output}, expected a name with .star or .cs")
    if options.output.resolve() in [path.resolve() for path in inputs]:
        options.parser.error(f"-o: found {options.output}, which is read here; expected a new name")
    particles = select_particles(source, wanted, root)
    write_selection(options.output, particles)
    print(f"{particles.n} particles of {source} written to {options.output}")


def export(options: argparse.Namespace) -> None:
    """Say where to."""
    from emjax.campaign.folder import CampaignFolder
    from emjax.campaign.names import RunName
    from emjax.io.particles.particle_set import read_particles
    from emjax.jobs.export import DEFAULT, export_consensus, export_run, space

    folder = CampaignFolder(options.results)
    particles = read_particles(options.particles, options.image_root)
    if options.of:
        run = RunName.parse(options.of)
        written = export_run(folder, run, particles, tuple(options.formats or FORMATS))
        target = folder.run(run).export
    else:
        written = export_consensus(folder, particles, tuple(options.formats or DEFAULT))
        target = folder.export
    print(f"written to {target}: {space(written)}")


def convert(options: argparse.Namespace) -> None:
    """Say what was done."""
    from emjax.io.convert.convert import convert

    done = convert(
        options.source, options.target, options.passthrough, options.image_root, options.box_size
    )
    files = " and ".join(str(path) for path in done.written)
    print(f"{done.particles} particles written to {files}; read again and compared: the same.")
    if done.left_out:
        program = "CryoSPARC" if done.written[0].suffix == ".cs" else "RELION"
        kept = f"; kept in {done.written[1]}" if len(done.written) > 1 else ""
        print(f"{program} has no place for {', '.join(done.left_out)}{kept}.")
    if done.restored_from is not None:
        changed = ", ".join(done.changed).replace("_", " ") or "nothing"
        print(f"Restored from {done.restored_from}; changed since: {changed}.")


def _add_image_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image-root", metavar="FOLDER", help="where relative image paths start")
