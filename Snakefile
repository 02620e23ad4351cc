# Run here, the demo's campaign; with --configfile my.yaml, yours. The rules are those of workflow/Snakefile.

import atexit
import sys

from emjax.campaign.settings import read_options

# A campaign's own --configfile replaces the demo's: the runs of two campaigns must not merge.
if not workflow.overwrite_configfiles:
    # Snakemake's own words about a malformed file name neither its row nor the remedy.
    try:
        read_options("config.yaml")
    except ValueError as error:
        atexit.register(print, f"error: {error}", file=sys.stderr)
        raise WorkflowError(str(error))

    configfile: "config.yaml"


include: "workflow/Snakefile"


# An include gives no default target (snakemake issue 2773).
rule campaign:
    default_target: True
    input:
        rules.all.input,
