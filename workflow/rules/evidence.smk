# Do the classes explain particles that they have not seen? The consensus asks before it reports.


rule judge_em3d:
    input:
        facts=rules.check_input.output,
        particles=rules.prepare_particles.output.particles,
        images=rules.prepare_particles.output.images,
        mean_map=rules.prepare_particles.output.mean_map,
        solvent_mask=rules.prepare_particles.output.solvent_mask,
        noise=rules.prepare_particles.output.noise,
        focus=present(config["masks"]["focus"]),
        initial_maps=present(*EM3D_OPTIONS.get("initial_maps", [])),
    output:
        evidence=f"{CAMPAIGN}/runs/em3d/evidence.json",
        curve=f"{CAMPAIGN}/runs/em3d/evidence.tsv",
    log:
        f"{LOGS}/judge_em3d.log",
    benchmark:
        f"{LOGS}/benchmarks/judge_em3d.tsv"
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        cpus_per_task=CPUS,
        mem_mb=lambda wildcards, input, attempt: costs.memory_mb(
            costs.judge(costs.read_facts(input.facts[0]), config), attempt
        ),
        runtime=lambda wildcards, input, attempt: costs.minutes(
            costs.judge(costs.read_facts(input.facts[0]), config), attempt
        ),
    params:
        emjax=EMJAX_VERSION,
        focus=config["masks"]["focus"],
        n_classes=EM3D_NUMBERS,
        seeds=EM3D_EVIDENCE_SEEDS,
        options=EM3D_OPTIONS,
    message:
        "Judging numbers of classes by held-out particles"
    script:
        "../scripts/judge_em3d.py"


EVIDENCE = [
    *([rules.fit_subspace.output.evidence] if SUBSPACE_RUNS else []),
    *([rules.judge_em3d.output.evidence] if EM3D_EVIDENCE_SEEDS else []),
]
