"""All volumes of a set of classes in one file."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from emjax.errors import InputError
from emjax.io.files import atomic_path

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the same maps give the same file


def zip_volumes(path: Path, maps: Sequence[Path]) -> Path:
    """Write maps into one zip file, compressed; masked maps become much smaller.

    Args:
        path: to write.
        maps: files, which keep their names.

    Raises:
        InputError: where a map is missing, or the file cannot be written.
    """
    with atomic_path(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in maps:
            if not source.is_file():
                raise InputError(source, None, "no such file", "a map")
            entry = zipfile.ZipInfo(source.name, _NO_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            entry.file_size = source.stat().st_size
            with source.open("rb") as stream, archive.open(entry, "w") as inside:
                shutil.copyfileobj(stream, inside, 1 << 20)
    return path
