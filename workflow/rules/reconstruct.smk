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
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
    message:
        "Reconstructing consensus class {wildcards.number} at full box"
    script:
        "../scripts/reconstruct_class.py"
