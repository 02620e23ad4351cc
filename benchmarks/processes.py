"""What a process takes: CPU seconds and memory of it and of those that it starts."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple


class Used(NamedTuple):
    """Of a process and the children that it waited for; memory is that of the largest one."""

    cpu: float  # seconds, user and system
    gb: float
    said: dict  # the last line of its output, where that is JSON


def spend(command: list[str], folder: Path) -> Used:
    """Run a command in a folder, with compiled code of JAX shared there.

    The caller had better be small: a child's memory counts from that of its parent on.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=output,
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")},
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        output.seek(0)
        last = output.read().splitlines()[-1:] or [""]
    said = json.loads(last[0]) if last[0].startswith("{") else {}
    return Used(used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6, said)
