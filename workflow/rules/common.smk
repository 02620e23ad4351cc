# The campaign's options, where its files go, and what a job costs.
import atexit
import os
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

from emjax.campaign import costs
from emjax.campaign.environment import future_files
from emjax.campaign.facts import read_size
from emjax.campaign.folder import CampaignFolder
from emjax.campaign.input import in_3d, needs_ctf
from emjax.campaign.lock import lock_campaign as lock
from emjax.campaign.methods import METHODS, all_runs
from emjax.campaign.origin import other_particles
from emjax.campaign.outcome import last_errors, outcome
from emjax.campaign.quiet import hush
from emjax.campaign.settings import basis_options, complete, particle_suffixes
from emjax.campaign.yaml_file import read_yaml
from emjax.io.particles.stack import is_stack

# Snakemake puts the interpreter unquoted into a shell command; its folder may hold spaces.
sys.executable = shlex.quote(sys.executable)

# Part of every rule's params: a new version re-runs what the old one made.
EMJAX_VERSION = version("emjax")

# For the messages of jobs too.
CONFIG_FILES = ", ".join(map(str, workflow.configfiles)) or "config"
os.environ.update(EMJAX_CONFIG=CONFIG_FILES)


def refuse(message):
    """Stop, with one line that is the last one on the screen."""
    # Snakemake puts its own line between a title and a traceback.
    atexit.register(print, f"error: {message}", file=sys.stderr)
    raise WorkflowError(message)


try:
    # Snakemake itself keeps the last of two equal keys.
    for path in workflow.configfiles:
        read_yaml(path)
    config.update(complete(config, CONFIG_FILES))
except ValueError as error:
    refuse(str(error))

if workflow.modifier.is_main_snakefile():
    hush(logger, on_cluster=lambda: not workflow.local_exec)

# Of a job that computes. A cluster is asked for them as cpus_per_task: Snakemake bounds threads by
# the cores of the machine it runs on itself.
CPUS = 4

# What the runs need of the input: its check, and the preparation, depend on it.
NEEDED = {"poses": in_3d(config), "ctf": needs_ctf(config)}

# A whole campaign, or one part of it alone.
JOB = config["job"]

FOLDER = CampaignFolder.of(config["campaign"])
PREPARED, CONSENSUS, REBALANCED = FOLDER.prepare, FOLDER.consensus, FOLDER.rebalance
RUNS = list(map(str, all_runs(config)))
SUFFIXES = particle_suffixes(config["particles"])

# Where a module's `prefix` puts the folder.
ACTUAL = CampaignFolder(
    Path(workflow.modifier.path_modifier.replace_prefix(str(FOLDER.path)))
)

# Before Snakemake removes anything: results of other particles are not this campaign's to replace.
if (
    complaint := other_particles(config["particles"], ACTUAL, config["job"])
) is not None:
    refuse(complaint)


# What it ends with.
WANTED = [FOLDER.report]
if JOB == "campaign" and config["export"]:
    WANTED.append(FOLDER.export)


def user_files(*paths):
    """Those of the user's files that are there; check_input says in one line which are not.

    A module's prefix is for what a campaign writes: these stay where they are.
    """
    return [local(str(path)) for path in paths if path and Path(path).exists()]


def own_map(name):
    """The map file that a mask option names, if any."""
    return None if config["masks"][name] == "auto" else config["masks"][name]


def log_of(name):
    """Log of a job."""
    return FOLDER.logs / f"{name}.log"


def benchmark_of(name):
    """Time and memory of a job."""
    return FOLDER.benchmarks / f"{name}.tsv"


def files_of_runs(runs):
    """Labels, posteriors and record of runs, which every method writes."""
    folders = list(map(FOLDER.run, runs))
    return {
        "labels": [path for run in folders for path in run.particles.all(SUFFIXES)],
        "posteriors": [run.posteriors for run in folders],
        "metrics": [run.metrics for run in folders],
    }


def consensus_files(path_of):
    """A file of every consensus class, once the consensus has found how many there are."""
    table = checkpoints.build_consensus.get().output.stability
    n_classes = sum(1 for line in open(table)) - 1
    return [str(path_of(k + 1)) for k in range(n_classes)]


def given_files(path_of):
    """A file of every given class that has particles."""
    with open(checkpoints.prepare_classes.get().output.classes) as table:
        next(table)
        rows = [list(map(int, line.split("\t")[:2])) for line in table]
    return [str(path_of(number)) for number, size in rows if size]


def maps_to_rebalance(wildcards):
    """Maps of the consensus; a class that is not there is reported before old files go."""
    maps = consensus_files(CONSENSUS.class_map)
    missing = [k for k in config["rebalance"]["keep"] or [] if k > len(maps)]
    if missing:
        refuse(
            f"{CONFIG_FILES}: rebalance.keep: found class {missing[0]}, expected numbers of 1 to {len(maps)}"
        )
    return maps


def estimated(cost):
    """Memory and time of a job, from what it costs for the prepared particles' size."""
    return {
        "mem_mb": lambda wildcards, input, attempt: costs.memory_mb(
            cost(read_size(input.facts[0])), attempt
        ),
        "runtime": lambda wildcards, input, attempt: costs.minutes(
            cost(read_size(input.facts[0])), attempt
        ),
    }


def computing(rule, cost):
    """Resources of a job on all particles, from what it costs.

    A profile addresses all batches of a method by one name, such as classify_em3d.

    Args:
        rule: the name for `set-resources` of a profile.
        cost: function of the prepared particles' size.
    """
    asked = {"cpus_per_task": CPUS, "gpu": config["gpus_per_job"]} | estimated(cost)
    profile = workflow.resource_settings._parsed_overwrite_resources.get(rule, {})
    return asked | {name: asked_for.raw for name, asked_for in profile.items()}


def reading(mb_per_mb, minutes=30):
    """Resources of a job that reads its input into memory: a multiple of its size, and 2 GB."""
    return {
        "mem_mb": lambda wildcards, input, attempt: int(
            (2000 + mb_per_mb * input.size_mb) * attempt
        ),
        "runtime": lambda wildcards, attempt: minutes * attempt,
    }


def lock_campaign():
    """Refuse a second Snakemake on this campaign, and folders that cannot be written to."""
    for folder in (FOLDER.path, FOLDER.logs, FOLDER.checkpoints):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not os.access(there, os.W_OK):
            refuse(f"{there}: found no permission to write, expected a writable folder")
    try:
        lock(config["campaign"])
    except ValueError as error:
        refuse(str(error))
    for line in future_files(workflow.configfiles + user_files(config["particles"])):
        print(f"warning: {line}", file=sys.stderr)


def say_end():
    """What was found and where the report lies, and no empty folder of checkpoints left."""
    # Here, not in the jobs: another one may be about to write into it.
    if FOLDER.checkpoints.is_dir() and not any(FOLDER.checkpoints.iterdir()):
        FOLDER.checkpoints.rmdir()
    for line in outcome(FOLDER):
        print(line, file=sys.stderr)


def say_nothing_left():
    """The end of a Snakemake that had nothing to do: it calls no handler of success."""
    planned = workflow.scheduler is not None and not workflow.dryrun
    if (
        planned
        and workflow.exec_mode == workflow.exec_mode.DEFAULT
        and not workflow.dag
    ):
        print("nothing to be done", *outcome(FOLDER), sep="\n", file=sys.stderr)


if workflow.modifier.is_main_snakefile():
    atexit.register(say_nothing_left)


def repeat_errors():
    """The last lines of the logs of jobs that failed or were interrupted since the start."""
    for line in last_errors(FOLDER):
        print(line, file=sys.stderr)
