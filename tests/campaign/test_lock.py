"""One Snakemake a campaign, also where the file system has no locks."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emjax.campaign import lock as locks
from emjax.campaign.lock import lock_campaign, lock_times, started

HOLDER = Path(".snakemake/campaign-t.holder")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield
    while locks._HELD:
        locks._HELD.pop().close()


def no_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_second_lock_is_refused_and_the_first_is_noted():
    assert started("t") == 0 and lock_times() == {}
    lock_campaign("t")
    assert started("t") > 0 and set(lock_times()) == {"campaign-t.lock"}
    with pytest.raises(ValueError, match="campaign t is being run by another Snakemake"):
        lock_campaign("t")
    lock_campaign("other")
    assert not HOLDER.exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_without_locks_a_file_names_machine_and_process(monkeypatch, capsys, number):
    no_locks(monkeypatch, number)
    lock_campaign("t")
    assert HOLDER.read_text() == f"{socket.gethostname()} {os.getpid()}"
    assert os.strerror(number) in capsys.readouterr().err
    with pytest.raises(ValueError, match=f"by process {os.getpid()} on .*campaign-t.holder; wait"):
        lock_campaign("t")


def test_a_process_that_is_gone_holds_nothing(monkeypatch):
    no_locks(monkeypatch, errno.ENOSYS)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    HOLDER.parent.mkdir()
    HOLDER.write_text(f"{socket.gethostname()} {int(gone.stdout)}")
    lock_campaign("t")
    assert HOLDER.read_text().endswith(f" {os.getpid()}")


def test_a_process_of_another_machine_may_hold_it(monkeypatch):
    no_locks(monkeypatch, errno.ENOSYS)
    HOLDER.parent.mkdir()
    HOLDER.write_text("elsewhere 1")
    with pytest.raises(ValueError, match="process 1 on elsewhere, .* or remove this file where it"):
        lock_campaign("t")


def test_the_file_goes_with_its_process(tmp_path: Path):
    program = (
        "import fcntl\n"
        "def refuse(*_): raise OSError(38, 'no')\n"
        "fcntl.flock = refuse\n"
        "from emjax.campaign.lock import lock_campaign\n"
        "from pathlib import Path\n"
        "lock_campaign('t'); assert Path('.snakemake/campaign-t.holder').exists()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert not HOLDER.exists()
