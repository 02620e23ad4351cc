"""Stand-alone jobs, a command each: draft the configuration from the arguments, and run it."""

import argparse
from pathlib import Path
from typing import Any

from emjax.cli.command import Commands, add_command, add_profile, add_verbose, run_config


def add_commands(commands: Commands) -> None:
    """Add them to the parser."""
    _add_rebalance(commands)
    _add_som(commands)
    _add_consensus(commands)
    _add_reconstruct(commands)


def rebalance(options: argparse.Namespace) -> int:
    """Snakemake's exit status."""
    from emjax.campaign.draft import draft_rebalance

    chosen = {
        name: getattr(options, name) for name in ("superclasses", "factor", "mirror", "align")
    }
    config = draft_rebalance(options.classes, options.references, options.output, chosen)
    return _run(config, options)


def som(options: argparse.Namespace) -> int:
    """Snakemake's exit status."""
    from emjax.campaign.draft import draft_som

    names = ("map", "seeds", "layout", "mode", "ctf", "mask", "filter_resolution")
    chosen = {name: getattr(options, name) for name in names}
    chosen["aligned"] = options.aligned or None
    first, last = options.regularisation or (None, None)
    chosen |= {"initial_regularisation": first, "final_regularisation": last}
    return _run(draft_som(options.particles, options.output, chosen), options)


def consensus(options: argparse.Namespace) -> int:
    """Snakemake's exit status."""
    from emjax.campaign.draft import draft_consensus

    classes = options.classes
    chosen = {
        "n_classes": int(classes) if classes is not None and classes.isdigit() else classes,
        "min_class_size": options.min_class_size,
    }
    config = draft_consensus(options.labels, options.particles, options.output, chosen)
    return _run(config, options)


def reconstruct(options: argparse.Namespace) -> int:
    """Snakemake's exit status."""
    from emjax.campaign.draft import draft_reconstruct

    given = options.classes_from, options.mask, options.symmetry
    return _run(draft_reconstruct(options.particles, options.output, *given), options)


def _run(config: dict[str, Any], options: argparse.Namespace) -> int:
    """Write the configuration beside its results' folder, say where it is, and run it."""
    from emjax.campaign.draft import write_draft

    path = write_draft(config)
    print(f"options: {path}", flush=True)
    return run_config(path, options)


def _add_rebalance(commands: Commands) -> None:
    parser = add_command(
        commands,
        rebalance,
        "Group classes made before into superclasses, and even out their sizes.",
        passes_on=True,
    )
    parser.add_argument(
        "classes",
        metavar="CLASSES",
        type=Path,
        help="2D or 3D classes: RELION job folder or _data.star, CryoSPARC .cs",
    )
    parser.add_argument(
        "references",
        metavar="REFERENCES",
        nargs="*",
        type=Path,
        help="their averages, or a map per class (default: found beside CLASSES)",
    )
    parser.add_argument(
        "--superclasses", metavar="N", type=int, help="number of superclasses (default: auto)"
    )
    parser.add_argument(
        "--factor",
        metavar="R",
        type=float,
        help="0 discards nothing, 1 makes all superclasses equal (default: 0)",
    )
    _add_switch(parser, "--mirror", "compare 2D averages with their mirror images too")
    _add_switch(parser, "--align", "align 3D maps before they are compared")
    _add_output(parser)


def _add_som(commands: Commands) -> None:
    parser = add_command(
        commands,
        som,
        "Sort images aligned in 2D on a self-organising map (KerDenSOM).",
        passes_on=True,
    )
    parser.add_argument(
        "particles",
        metavar="PARTICLES",
        type=Path,
        help="RELION .star or job folder (psi, origins), CryoSPARC .cs (alignments2D), stack .mrcs",
    )
    parser.add_argument(
        "--aligned",
        action="store_true",
        help="the images are aligned as they lie in their stack; needed for .mrcs",
    )
    parser.add_argument(
        "--map",
        metavar=("COLUMNS", "ROWS"),
        nargs=2,
        type=int,
        help="size of the map (default: 7 7)",
    )
    parser.add_argument(
        "--seeds", metavar="N", type=int, help="number of maps, from different starts (default: 3)"
    )
    parser.add_argument("--layout", choices=("rect", "hexa"), help="neighbours: 4, or 6 (hexa)")
    parser.add_argument(
        "--regularisation",
        metavar=("FIRST", "LAST"),
        nargs=2,
        type=float,
        help="smoothness of the map, at the start and at the end (default: 1000 200)",
    )
    parser.add_argument(
        "--mode", choices=("ecm", "xmipp"), help="xmipp computes as Xmipp does (default: ecm)"
    )
    parser.add_argument(
        "--ctf",
        choices=("phase_flip", "none"),
        help="none leaves the images as they are; particles then need no CTF (default: phase_flip)",
    )
    parser.add_argument("--mask", metavar="FILE", help="image, 1 where images are compared")
    parser.add_argument(
        "--filter-resolution",
        metavar="RESOLUTION",
        type=float,
        help="Å; finer detail is ignored (default: 32 shells of the box)",
    )
    _add_output(parser)


def _add_consensus(commands: Commands) -> None:
    parser = add_command(
        commands,
        consensus,
        "What label files of other programs agree on, without images.",
        passes_on=True,
    )
    parser.add_argument(
        "labels",
        metavar="LABELS",
        nargs="+",
        type=Path,
        help="of the same particles: RELION job folder or _data.star, .cs, .xmd, .csv, .npz",
    )
    parser.add_argument(
        "--particles",
        metavar="FILE",
        type=Path,
        help="whose rows count (default: the first of LABELS that lists images)",
    )
    parser.add_argument(
        "--classes",
        metavar="N",
        help="number of classes, auto, or an elbow such as origin (default: auto)",
    )
    parser.add_argument(
        "--min-class-size",
        metavar="N",
        type=int,
        help="particles of smaller intersections have no class (default: 0)",
    )
    _add_output(parser)


def _add_reconstruct(commands: Commands) -> None:
    parser = add_command(
        commands,
        reconstruct,
        "Maps of given classes at full box, with half-maps and FSC.",
        passes_on=True,
    )
    parser.add_argument(
        "particles",
        metavar="PARTICLES",
        type=Path,
        help="with poses and CTF: RELION .star or job folder, CryoSPARC .cs",
    )
    parser.add_argument(
        "--classes-from",
        metavar="FILE",
        type=Path,
        help="label file of the same particles (default: the classes in PARTICLES)",
    )
    parser.add_argument(
        "--mask", metavar="MAP", type=Path, help="of the FSC (default: made from the mean map)"
    )
    parser.add_argument("--symmetry", metavar="GROUP", default="C1", help="(default: C1)")
    _add_output(parser)


def _add_switch(parser: argparse.ArgumentParser, name: str, meaning: str) -> None:
    """An option that stays at the schema's default where it is not given."""
    parser.add_argument(name, action="store_const", const=True, help=meaning)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="NAME",
        help="of results/NAME and NAME.yaml (default: after the input)",
    )
    add_profile(parser)
    add_verbose(parser)
