# Superclasses of alike consensus classes, and the excess of large ones set aside.


rule rebalance_classes:
    input:
        consensus=rules.build_consensus.output.particles,
        volumes=lambda wildcards: consensus_files("class_{:03d}.mrc"),
        solvent_mask=rules.prepare_particles.output.solvent_mask,
    output:
        affinity=f"{CAMPAIGN}/rebalance/affinity.npy",
        superclasses=f"{CAMPAIGN}/rebalance/superclasses.tsv",
        kept=particle_files(f"{CAMPAIGN}/rebalance", "particles_kept"),
        excluded=particle_files(f"{CAMPAIGN}/rebalance", "particles_excluded"),
    log:
        f"{LOGS}/rebalance_classes.log",
    benchmark:
        f"{LOGS}/benchmarks/rebalance_classes.tsv"
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: int(
            (2000 + 6 * input.size_mb) * attempt
        ),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        emjax=EMJAX_VERSION,
        options=config["rebalance"],
    message:
        "Comparing and rebalancing the consensus classes"
    script:
        "../scripts/rebalance_classes.py"
