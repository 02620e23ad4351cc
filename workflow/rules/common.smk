# The campaign's options, where its files go, and what a job costs.
import atexit
import fcntl
import os
import shlex
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from emjax.campaign import costs
from emjax.campaign.origin import other_particles
from emjax.campaign.settings import (
    ConfigError,
    classes_of,
    complete,
    em3d_batches,
    run_names,
    som_batches,
    subspace_runs,
)

# Snakemake puts the interpreter unquoted into a shell command; its folder may hold spaces.
sys.executable = shlex.quote(sys.executable)

# Part of every rule's params: a new version re-runs what the old one made.
EMJAX_VERSION = version("emjax")

# For the messages of jobs too.
CONFIG_FILES = ", ".join(map(str, workflow.configfiles)) or "config"
os.environ.update(EMJAX_CONFIG=CONFIG_FILES)

try:
    config.update(complete(config, CONFIG_FILES))
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# Of a job that computes. A cluster is asked for them as cpus_per_task: Snakemake bounds threads by
# the cores of the machine it runs on itself.
CPUS = 4

CAMPAIGN = f"results/{config['campaign']}"
LOGS = f"logs/{config['campaign']}"

# Before Snakemake removes anything: results of other particles are not this campaign's to replace.
if (complaint := other_particles(config["particles"], Path(CAMPAIGN))) is not None:
    raise WorkflowError(complaint)

LOCKS = []

EM3D_OPTIONS = {
    name: value
    for name, value in (config["runs"]["em3d"] or {}).items()
    if name not in ("n_classes", "seeds", "evidence_seeds")
} | {"symmetry": config["symmetry"]}
EM3D_NUMBERS = (config["runs"]["em3d"] or {}).get("n_classes", [])
EM3D_EVIDENCE_SEEDS = (config["runs"]["em3d"] or {}).get("evidence_seeds", 0)
EM3D_BATCHES = em3d_batches(config)
SOM_OPTIONS = {
    name: value
    for name, value in (config["runs"]["som"] or {}).items()
    if name != "seeds"
}
SOM_BATCHES = som_batches(config)
SUBSPACE_OPTIONS = config["runs"]["subspace"] or {}
SUBSPACE_RUNS = subspace_runs(config)
EXTERNAL_RUNS = {f"ext-{run['name']}": run for run in config["runs"]["external"]}
RUNS = run_names(config)


def suffixes_of(particles):
    """A CryoSPARC input gets every particle file in its own format too."""
    return [".star", ".cs"] if particles.endswith(".cs") else [".star"]


PARTICLE_SUFFIXES = suffixes_of(config["particles"])


def listed(value):
    """A list, also where the configuration gives its one item."""
    return value if isinstance(value, list) else [value]


def present(*paths):
    """Those of the user's files that are there; check_input says in one line which are not."""
    return [path for path in paths if path and Path(path).exists()]


def own_map(name):
    """The map file that a mask option names, if any."""
    return None if config["masks"][name] == "auto" else config["masks"][name]


def particle_files(folder, name="particles"):
    """A particle file in every format this campaign writes."""
    return [f"{folder}/{name}{suffix}" for suffix in PARTICLE_SUFFIXES]


def consensus_files(pattern):
    """Files of every consensus class, once the consensus has found how many there are."""
    table = checkpoints.build_consensus.get().output.stability
    n_classes = sum(1 for line in open(table)) - 1
    return [f"{CAMPAIGN}/consensus/{pattern.format(k + 1)}" for k in range(n_classes)]


def maps_to_rebalance(wildcards):
    """Maps of the consensus; a class that is not there is told before old files go."""
    maps = consensus_files("class_{:03d}.mrc")
    missing = [k for k in config["rebalance"]["keep"] or [] if k > len(maps)]
    if missing:
        told = f"{CONFIG_FILES}: rebalance.keep: found class {missing[0]}, expected numbers of 1 to {len(maps)}"
        # Once more as the last line: Snakemake puts it between a title and a traceback.
        atexit.register(print, f"error: {told}", file=sys.stderr)
        raise WorkflowError(told)
    return maps


def lock_campaign():
    """Refuse a second Snakemake on this campaign; the kernel frees the lock of a killed one."""
    path = Path(".snakemake") / f"campaign-{config['campaign']}.lock"
    path.parent.mkdir(exist_ok=True)
    held = open(path, "a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise WorkflowError(
            f"campaign {config['campaign']} is being run by another Snakemake; wait until it ends"
        ) from None
    # Kept open, and so locked, until this process ends.
    LOCKS.append(held)
    path.touch()


def repeat_errors():
    """The last lines of the logs of jobs that failed or were interrupted since the start."""
    start = os.path.getmtime(LOCKS[0].name)
    for log in sorted(Path(LOGS).glob("*.log"), key=os.path.getmtime):
        last = log.read_text(encoding="utf-8").splitlines()[-1:]
        told = last[0][20:] if last else ""
        if (
            told.startswith(("error: ", "interrupted"))
            and os.path.getmtime(log) >= start
        ):
            print(f"{told} (log: {log})", file=sys.stderr)
