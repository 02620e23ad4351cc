# One page that says what was found, and one file that says how.


rule render_report:
    input:
        runs=rules.collect_runs.output,
        elbows=rules.build_consensus.output.elbows,
        volumes=lambda wildcards: consensus_files("class_{:03d}.mrc"),
        fsc=lambda wildcards: consensus_files("class_{:03d}_fsc.tsv"),
        rebalance=rules.rebalance_classes.output.superclasses,
        confounders=rules.audit_classes.output,
        provenance=f"{CAMPAIGN}/campaign.json",
    output:
        page=report(
            f"{CAMPAIGN}/report.html",
            caption="../report/report.rst",
            category="Campaign",
        ),
        figures=report(
            directory(f"{CAMPAIGN}/figures"),
            patterns=["{name}.svg"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{name}"},
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


rule record_campaign:
    input:
        facts=rules.check_input.output,
        metrics=[f"{CAMPAIGN}/runs/{run}/metrics.json" for run in RUNS],
        elbows=rules.build_consensus.output.elbows,
        # What takes time comes first, so that its time is known.
        rebalance=rules.rebalance_classes.output.summary,
        confounders=rules.audit_classes.output,
    output:
        f"{CAMPAIGN}/campaign.json",
    log:
        f"{LOGS}/record_campaign.log",
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        emjax=EMJAX_VERSION,
        config=config,
        benchmarks=f"{LOGS}/benchmarks",
    message:
        "Recording options, versions, checksums and seeds"
    script:
        "../scripts/record_campaign.py"
