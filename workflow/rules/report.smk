# One page that says what was found.


rule render_report:
    input:
        runs=rules.collect_runs.output,
        elbows=rules.build_consensus.output.elbows,
        volumes=lambda wildcards: consensus_files("class_{:03d}.mrc"),
        fsc=lambda wildcards: consensus_files("class_{:03d}_fsc.tsv"),
        rebalance=rules.rebalance_classes.output.superclasses,
        confounders=rules.audit_classes.output,
    output:
        report(
            f"{CAMPAIGN}/report.html",
            caption="../report/report.rst",
            category="Campaign",
        ),
    log:
        f"{LOGS}/render_report.log",
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: int(
            (2000 + 4 * input.size_mb) * attempt
        ),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        emjax=EMJAX_VERSION,
        config=config,
    message:
        "Writing the report"
    script:
        "../scripts/render_report.py"
