# The input checked, then whitened and cropped images, mean map, masks and noise.


# A new focus mask, K or external run does not repeat this check: all that follows would run again.
# The first run checks them too, and the jobs that read them check them once more.
rule check_input:
    input:
        particles=present(config["particles"]),
        solvent=present(own_map("solvent")),
    output:
        f"{CAMPAIGN}/prepare/prepare.json",
    log:
        f"{LOGS}/check_input.log",
    benchmark:
        f"{LOGS}/benchmarks/check_input.tsv"
    conda:
        "../envs/emjax.yaml"
    resources:
        # A table takes several times the memory of its text.
        mem_mb=lambda wildcards, input, attempt: int(
            (2000 + 4 * input.size_mb) * attempt
        ),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        filter_resolution=config["filter_resolution"],
        solvent=config["masks"]["solvent"],
    message:
        "Checking the input of campaign {config[campaign]}"
    script:
        "../scripts/check_input.py"


rule prepare_particles:
    input:
        facts=rules.check_input.output,
        particles=present(config["particles"]),
        solvent=present(own_map("solvent")),
    output:
        particles=particle_files(f"{CAMPAIGN}/prepare"),
        images=f"{CAMPAIGN}/prepare/images.npy",
        mean_map=f"{CAMPAIGN}/prepare/mean_map.mrc",
        half_maps=expand(f"{CAMPAIGN}/prepare/mean_half{{half}}.mrc", half=[1, 2]),
        solvent_mask=f"{CAMPAIGN}/prepare/solvent_mask.mrc",
        noise=f"{CAMPAIGN}/prepare/noise.tsv",
    log:
        f"{LOGS}/prepare_particles.log",
    benchmark:
        f"{LOGS}/benchmarks/prepare_particles.tsv"
    conda:
        "../envs/emjax.yaml"
    threads: CPUS
    resources:
        cpus_per_task=CPUS,
        mem_mb=lambda wildcards, input, attempt: costs.memory_mb(
            costs.prepare(costs.read_facts(input.facts[0])), attempt
        ),
        runtime=lambda wildcards, input, attempt: costs.minutes(
            costs.prepare(costs.read_facts(input.facts[0])), attempt
        ),
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        filter_resolution=config["filter_resolution"],
        scale=config["scale"],
        static_noise=config["static_noise"],
        image_precision=config["image_precision"],
        symmetry=config["symmetry"],
        on_mixed_optics=config["on_mixed_optics"],
        split_seed=config["split_seed"],
        masks={k: v for k, v in config["masks"].items() if k != "focus"},
    message:
        "Preparing the particles at {params.filter_resolution} Å"
    script:
        "../scripts/prepare_particles.py"
