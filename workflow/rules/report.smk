# One page that says what was found, and one file that says how.

# What the record and the report wait for: what the job has made when it is done.
if JOB == "campaign":
    RECORDED = {
        "facts": rules.check_input.output,
        "metrics": [FOLDER.run(run).metrics for run in RUNS],
        "elbows": rules.build_consensus.output.elbows,
        # What takes time comes first, so that its time is known.
        "rebalance": rules.rebalance_classes.output.summary,
        "confounders": rules.audit_classes.output,
    }
elif JOB == "som":
    RECORDED = {"classes": rules.write_som_classes.output}
elif JOB == "rebalance":
    RECORDED = {"made": rules.rebalance_classes.output.summary}
elif JOB == "consensus":
    RECORDED = {"made": rules.build_consensus.output.elbows}
elif JOB == "reconstruct":
    RECORDED = {"made": lambda wildcards: given_files(MAPS.class_fsc)}


rule record_campaign:
    input:
        **RECORDED,
    output:
        FOLDER.record,
    log:
        log_of("record_campaign"),
    conda:
        "../envs/emjax.yaml"
    resources:
        **reading(4, minutes=15),
    params:
        emjax=EMJAX_VERSION,
        config=config,
        runs=RUNS,
    message:
        "Recording options, versions, checksums and seeds"
    script:
        "../scripts/record_campaign.py"


# One job: a page takes a fraction of a second, a job takes longer to start.
rule render_runs:
    input:
        metrics=[FOLDER.run(run).metrics for run in RUNS],
        consensus=rules.build_consensus.output.particles,
        half_maps=lambda wildcards: [
            path
            for half in ("half1", "half2")
            for path in consensus_files(lambda k: CONSENSUS.class_map(k, half))
        ],
        fsc=lambda wildcards: consensus_files(CONSENSUS.class_fsc),
    output:
        [FOLDER.run(run).report for run in RUNS],
    log:
        log_of("render_runs"),
    conda:
        "../envs/emjax.yaml"
    resources:
        **reading(6),
    params:
        emjax=EMJAX_VERSION,
        runs=RUNS,
    message:
        f"Writing the pages of {len(RUNS)} runs"
    script:
        "../scripts/render_runs.py"


if JOB == "campaign":
    REPORTED = {
        "pages": rules.render_runs.output,
        "runs": rules.collect_runs.output,
        "elbows": rules.build_consensus.output.elbows,
        "volumes": lambda wildcards: consensus_files(CONSENSUS.class_map),
        "fsc": lambda wildcards: consensus_files(CONSENSUS.class_fsc),
        "gallery": rules.draw_gallery.output,
        "rebalance": rules.rebalance_classes.output.superclasses,
        "confounders": rules.audit_classes.output,
    }
else:
    REPORTED = RECORDED


rule render_report:
    input:
        **REPORTED,
        provenance=rules.record_campaign.output,
    output:
        page=report(
            FOLDER.report,
            caption="../report/report.rst",
            category="Campaign",
        ),
        verdict=FOLDER.verdict,
        figures=report(
            directory(FOLDER.figures),
            patterns=["{name}.svg"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
    log:
        log_of("render_report"),
    conda:
        "../envs/emjax.yaml"
    resources:
        **reading(4),
    params:
        emjax=EMJAX_VERSION,
        config=config,
    message:
        "Writing the report"
    script:
        "../scripts/render_report.py"
