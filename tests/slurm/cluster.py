"""A private SLURM of one node for the tests: munged, slurmctld and slurmd in one folder.

Needs root and Debian's slurm-wlm and munge; no systemd, no accounting, no cgroups. The GPUs are
character devices that do nothing, but scheduling, limits, preemption and requeueing are SLURM's.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
CLIENTS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun", "sacct", "sacctmgr")
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits until its old credential has expired.
AuthInfo=socket={folder}/munge/socket,cred_expire=3
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# Memory is sampled each second; a job over its request is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
# Snakemake asks squeue for jobs that have ended.
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=512
KillWait=3
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus}
PartitionName=cpu Nodes={host} Default=YES PriorityTier=10 PreemptMode=OFF MaxTime=1-0
PartitionName=gpu Nodes={host} PriorityTier=10 PreemptMode=OFF MaxTime=1-0
PartitionName=spare Nodes={host} PriorityTier=1 PreemptMode=REQUEUE MaxTime=1-0
PartitionName=urgent Nodes={host} PriorityTier=50 PreemptMode=OFF MaxTime=1-0
"""


def missing() -> str | None:
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "SLURM's daemons need root"
    for program in PROGRAMS:
        if shutil.which(program, path=SYSTEM_PATH) is None:
            return f"{program} not found (Debian: slurm-wlm, munge)"
    return None


class Cluster:
    """One node with partitions cpu, gpu, spare (preempted) and urgent (preempts)."""

    def __init__(self, folder: Path, cpus: int = 4, memory: int = 16_000, gpus: int = 2) -> None:
        """Start it; munged wants a folder whose parents everyone may search."""
        self.folder = folder
        self._processes: list[subprocess.Popen] = []
        for name in ("munge", "state", "spool", "bin"):
            (folder / name).mkdir(parents=True)
            (folder / name).chmod(0o755)
        host = socket.gethostname().split(".")[0]
        controller, daemon = _free_ports()
        text = CONFIGURATION.format(**locals())
        (folder / "slurm.conf").write_text(text)
        devices = self._make_devices(gpus)
        gres = f"AutoDetect=off\nNodeName={host} Name=gpu Count={gpus}{devices}\n"
        (folder / "gres.conf").write_text(gres)
        self._write_clients()
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}:{SYSTEM_PATH}",
        }
        try:
            self._start_munge()
            self._start("slurmctld", "-D", "-c", "-f", str(folder / "slurm.conf"))
            self._wait(lambda: "UP" in self.run("scontrol", "ping").stdout, "slurmctld")
            self._start("slurmd", "-D", "-f", str(folder / "slurm.conf"))
            self._wait(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T").stdout, "slurmd")
        except BaseException:
            self.stop()
            raise

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A SLURM client program, such as squeue."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def jobs(self, *states: str) -> list[tuple[str, str]]:
        """Number and comment (Snakemake's rule name) of the jobs in some states."""
        wanted = ["-t", ",".join(states)] if states else []
        lines = self.run("squeue", "-h", "-o", "%i|%k", *wanted).stdout.splitlines()
        return [(line.split("|")[0], line.split("|")[1]) for line in lines]

    def stop(self) -> None:
        """Cancel what runs, then end the daemons, the last started first."""
        if len(self._processes) == 3:
            self.run("scancel", "--quiet", "--user", "root")
            deadline = time.monotonic() + 10
            while self.jobs("RUNNING", "COMPLETING") and time.monotonic() < deadline:
                time.sleep(0.2)
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _make_devices(self, gpus: int) -> str:
        try:
            for i in range(gpus):
                os.mknod(self.folder / f"card{i}", 0o20666, os.makedev(1, 3))
        except OSError:
            return ""  # counted only: CUDA_VISIBLE_DEVICES is not set then
        return f" File={self.folder}/card[0-{gpus - 1}]"

    def _write_clients(self) -> None:
        # Snakemake's job step starts srun without SLURM_CONF: the clients set it themselves.
        for name in CLIENTS:
            program = shutil.which(name, path=SYSTEM_PATH)
            if program:
                client = self.folder / "bin" / name
                configuration = self.folder / "slurm.conf"
                client.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {program} "$@"\n')
                client.chmod(0o755)

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = {"key-file": key, "socket": folder / "socket", "pid-file": folder / "pid"}
        files |= {"seed-file": folder / "seed", "log-file": folder / "log"}
        self._start("munged", "--foreground", *(f"--{k}={v}" for k, v in files.items()))
        self._wait((folder / "socket").exists, "munged")

    def _start(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=SYSTEM_PATH)
        assert program is not None
        with open(self.folder / f"{name}.out", "w") as out:
            process = subprocess.Popen(
                [program, *arguments], env=self.environment, stdout=out, stderr=out
            )
        self._processes.append(process)

    def _wait(self, ready: Callable[[], bool], name: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            process = self._processes[-1]
            if process.poll() is not None or time.monotonic() > deadline:
                output = (self.folder / f"{name}.out").read_text()[-2000:]
                raise RuntimeError(f"{name} did not start: {output}")
            time.sleep(0.1)


def _free_ports() -> list[int]:
    """Two ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
