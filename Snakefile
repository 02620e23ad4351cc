# Run here, the demo's campaign; with --configfile my.yaml, yours. The rules are those of workflow/Snakefile.

# A campaign's own --configfile replaces the demo's: the runs of two campaigns must not merge.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "workflow/Snakefile"


# An include gives no default target (snakemake issue 2773).
rule campaign:
    default_target: True
    input:
        rules.all.input,
