"""`python -m emjax convert`: particle files between RELION and CryoSPARC."""

from __future__ import annotations

import argparse

from emjax.io.convert.convert import convert


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("source", help="STAR file, RELION job folder, .cs or .csg")
    parser.add_argument("target", help="file to write; .cs for CryoSPARC, else STAR")
    parser.add_argument(
        "--passthrough",
        help="the original that SOURCE was translated from (default: the file beside it)",
    )
    parser.add_argument("--image-root", help="where relative image paths start")
    parser.add_argument(
        "--box-size", type=int, default=0, help="pixels, where neither file nor stacks say"
    )


def run(options: argparse.Namespace) -> None:
    """Convert and say what was done."""
    done = convert(
        options.source, options.target, options.passthrough, options.image_root, options.box_size
    )
    files = " and ".join(str(path) for path in done.written)
    print(f"{done.particles} particles written to {files}; read again and compared: the same.")
    if done.restored_from is not None:
        changed = ", ".join(done.changed).replace("_", " ") or "nothing"
        print(f"Restored from {done.restored_from}; changed since: {changed}.")
