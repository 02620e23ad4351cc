"""Where the image stacks of a particle file are."""

from __future__ import annotations

import os
from pathlib import Path

from emjax.errors import InputError
from emjax.io.files import COMPRESSED_SUFFIXES, refuse_compressed


def resolve_images(
    stacks: tuple[Path, ...], file: Path, image_root: str | Path | None
) -> tuple[Path, ...]:
    """Where the image stacks are.

    Args:
        stacks: paths as written.
        file: the particle file that names them.
        image_root: the folder relative paths start from, or None.

    Raises:
        InputError: for the first stack that is not there, with the folders looked in.
    """
    if image_root is not None:
        roots = [Path(image_root)]
    else:
        # RELION runs in the project folder, two above a job's files; CryoSPARC one above.
        folders = [file.absolute().parent, file.resolve().parent]
        roots = [Path.cwd()] + [up for f in folders for up in (f, *list(f.parents)[:2])]
    roots = list(dict.fromkeys(roots))
    found = []
    for stack in stacks:
        places = [root / stack for root in roots]
        if stack.is_absolute() and image_root is not None:
            # Data that moved: the longest end of the path that is there.
            places += [roots[0].joinpath(*stack.parts[k:]) for k in range(1, len(stack.parts))]
        hit = next((place for place in places if os.path.isfile(place)), None)
        if hit is None:
            for place in places:
                _refuse_compressed_twin(place)
            looked = ", ".join(str(root) for root in (["/"] if stack.is_absolute() else roots[:3]))
            raise InputError(
                file,
                f"image stack {stack}",
                f"no such file (from {looked})",
                "an existing stack; set image_root where its path starts elsewhere",
            )
        found.append(hit)
    return tuple(found)


def _refuse_compressed_twin(stack: Path) -> None:
    """Name the compressed file that lies where the stack should."""
    for suffix in COMPRESSED_SUFFIXES:
        twin = stack.with_name(stack.name + suffix)
        if twin.is_file():
            with twin.open("rb") as stream:
                refuse_compressed(twin, stream.read(8))
