# What all runs say together. Changing an option here runs no classification again.


rule collect_runs:
    input:
        [f"{CAMPAIGN}/runs/{run}/metrics.json" for run in RUNS],
    output:
        f"{CAMPAIGN}/runs.tsv",
    log:
        f"{LOGS}/collect_runs.log",
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        emjax=EMJAX_VERSION,
    message:
        "Listing the runs"
    script:
        "../scripts/collect_runs.py"


# A checkpoint: how many classes there are to reconstruct is known only now.
checkpoint build_consensus:
    input:
        facts=rules.check_input.output,
        particles=rules.prepare_particles.output.particles,
        labels=[f"{CAMPAIGN}/runs/{run}/particles.star" for run in RUNS],
        posteriors=[f"{CAMPAIGN}/runs/{run}/posteriors.npy" for run in RUNS],
        evidence=EVIDENCE,
    output:
        particles=particle_files(f"{CAMPAIGN}/consensus"),
        intersections=f"{CAMPAIGN}/consensus/intersections.tsv",
        linkage=f"{CAMPAIGN}/consensus/linkage.npy",
        elbows=f"{CAMPAIGN}/consensus/elbows.json",
        stability=f"{CAMPAIGN}/consensus/stability.tsv",
        agreement=f"{CAMPAIGN}/consensus/agreement.tsv",
        matching=f"{CAMPAIGN}/consensus/matching.tsv",
    log:
        f"{LOGS}/build_consensus.log",
    benchmark:
        f"{LOGS}/benchmarks/build_consensus.tsv"
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: costs.memory_mb(
            costs.consensus(costs.read_facts(input.facts[0]), len(RUNS)), attempt
        ),
        runtime=lambda wildcards, input, attempt: costs.minutes(
            costs.consensus(costs.read_facts(input.facts[0]), len(RUNS)), attempt
        ),
    params:
        emjax=EMJAX_VERSION,
        options=config["consensus"],
    message:
        f"Building the consensus of {len(RUNS)} runs"
    script:
        "../scripts/build_consensus.py"
