# A campaign: prepare → classify → consensus → reconstruct → rebalance → export → report.
from snakemake.utils import min_version

min_version("9.27")


# A campaign's own --configfile replaces the demo's: the runs of two campaigns must not merge.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/classify.smk"
include: "workflow/rules/som.smk"
include: "workflow/rules/subspace.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/consensus.smk"
include: "workflow/rules/reconstruct.smk"
include: "workflow/rules/rebalance.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        # Rebalancing of given classes alone has no runs to report.
        f"{CAMPAIGN}/report.html" if RUNS else rules.rebalance_classes.output,
        rules.export_classes.output if RUNS and config["export"] else [],


onstart:
    lock_campaign()


onsuccess:
    # Here, not in the jobs: another one may be about to write into it.
    with suppress(OSError):
        Path("checkpoints", config["campaign"]).rmdir()


onerror:
    # After Snakemake's own last words, where it is seen.
    atexit.register(repeat_errors)
