# A map of every consensus class from its own particles at full box.


rule reconstruct_class:
    input:
        facts=rules.check_input.output,
        particles=present(config["particles"]),
        noise=rules.prepare_particles.output.noise,
        solvent_mask=rules.prepare_particles.output.solvent_mask,
        consensus=rules.build_consensus.output.particles,
    output:
        volume=f"{CAMPAIGN}/consensus/class_{{number}}.mrc",
        half_maps=[
            f"{CAMPAIGN}/consensus/class_{{number}}_half{half}.mrc" for half in (1, 2)
        ],
        fsc=f"{CAMPAIGN}/consensus/class_{{number}}_fsc.tsv",
    log:
        f"{LOGS}/reconstruct_class_{{number}}.log",
    benchmark:
        f"{LOGS}/benchmarks/reconstruct_class_{{number}}.tsv"
    wildcard_constraints:
        number=r"\d{3}",
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        cpus_per_task=CPUS,
        mem_mb=lambda wildcards, input, attempt: costs.memory_mb(
            costs.reconstruct(costs.read_facts(input.facts[0])), attempt
        ),
        runtime=lambda wildcards, input, attempt: costs.minutes(
            costs.reconstruct(costs.read_facts(input.facts[0])), attempt
        ),
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        symmetry=config["symmetry"],
    message:
        "Reconstructing consensus class {wildcards.number} at full box"
    script:
        "../scripts/reconstruct_class.py"


rule audit_classes:
    input:
        consensus=rules.build_consensus.output.particles,
        runs=f"{CAMPAIGN}/runs.tsv",
        volumes=lambda wildcards: consensus_files("class_{:03d}.mrc"),
        solvent_mask=rules.prepare_particles.output.solvent_mask,
    output:
        f"{CAMPAIGN}/consensus/confounders.tsv",
    log:
        f"{LOGS}/audit_classes.log",
    benchmark:
        f"{LOGS}/benchmarks/audit_classes.tsv"
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: int(
            (2000 + 6 * input.size_mb) * attempt
        ),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        emjax=EMJAX_VERSION,
        seed=config["consensus"]["seed"],
    message:
        "Looking for nuisances that the classes follow"
    script:
        "../scripts/audit_classes.py"
