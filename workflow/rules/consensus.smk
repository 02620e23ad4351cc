# What all runs say together. Changing an option here runs no classification again.

CONSENSUS_FILES = {
    "particles": CONSENSUS.particles.all(SUFFIXES),
    "intersections": CONSENSUS.intersections,
    "linkage": CONSENSUS.linkage,
    "elbows": CONSENSUS.elbows,
    "stability": CONSENSUS.stability,
    "agreement": CONSENSUS.agreement,
    "matching": CONSENSUS.matching,
}

if JOB == "consensus":

    # Label files alone: needs nothing of a campaign.
    rule build_consensus:
        input:
            particles=user_files(config["particles"]),
            labels=user_files(*(run["path"] for run in EXTERNAL_RUNS.values())),
        output:
            **CONSENSUS_FILES,
            runs=FOLDER.runs_table,
            of_intersections=directory(CONSENSUS.of_intersections),
            by_class=directory(CONSENSUS.by_class),
            maps=directory(CONSENSUS.representatives),
            representatives=CONSENSUS.representatives_table,
        log:
            log_of("build_consensus"),
        benchmark:
            benchmark_of("build_consensus")
        conda:
            "../envs/emjax.yaml"
        resources:
            **reading(8, minutes=60),
        params:
            emjax=EMJAX_VERSION,
            options=config["consensus"],
            particles=config["particles"],
            runs=config["runs"]["external"],
        message:
            f"Building the consensus of {len(RUNS)} label files"
        script:
            "../scripts/consensus_of_labels.py"

else:

    rule collect_runs:
        input:
            [FOLDER.run(run).metrics for run in RUNS],
        output:
            FOLDER.runs_table,
        log:
            log_of("collect_runs"),
        conda:
            "../envs/emjax.yaml"
        resources:
            **reading(4, minutes=15),
        params:
            emjax=EMJAX_VERSION,
            runs=RUNS,
        message:
            "Listing the runs"
        script:
            "../scripts/collect_runs.py"

    # A checkpoint: how many classes there are to reconstruct is known only now.
    checkpoint build_consensus:
        input:
            **PREPARED_FILES,
            fits=rules.find_outliers.output.fits,
            labels=[FOLDER.run(run).particles.star for run in RUNS],
            posteriors=[FOLDER.run(run).posteriors for run in RUNS],
            evidence=[
                path
                for method in METHODS.values()
                if (path := method.evidence(config, FOLDER.method(method.name)))
            ],
            # Of the images' variability, in which classes are settled and judged.
            basis=[
                path
                for path in (
                    SUBSPACE_FOLDER.basis,
                    SUBSPACE_FOLDER.statistics,
                    SUBSPACE_FOLDER.held_out,
                )
                if SUBSPACE.fits_basis(config)
            ],
        output:
            **CONSENSUS_FILES,
        log:
            log_of("build_consensus"),
        benchmark:
            benchmark_of("build_consensus")
        conda:
            "../envs/emjax.yaml"
        threads: CPUS
        resources:
            **computing(
                "build_consensus",
                lambda size: costs.consensus(
                    size, config, len(RUNS), SUBSPACE.fits_basis(config)
                ),
            ),
        params:
            emjax=EMJAX_VERSION,
            options=config["consensus"],
            focus=config["masks"]["focus"],
            runs=RUNS,
        message:
            f"Building the consensus of {len(RUNS)} runs"
        script:
            "../scripts/build_consensus.py"
