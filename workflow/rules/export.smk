# The consensus classes as files for RELION, CryoSPARC, cryoDRGN and ChimeraX.


rule export_classes:
    input:
        particles=present(config["particles"]),
        consensus=rules.build_consensus.output.particles,
        volumes=lambda wildcards: consensus_files("class_{:03d}.mrc"),
        fsc=lambda wildcards: consensus_files("class_{:03d}_fsc.tsv"),
    output:
        directory(f"{CAMPAIGN}/export"),
    log:
        f"{LOGS}/export_classes.log",
    benchmark:
        f"{LOGS}/benchmarks/export_classes.tsv"
    conda:
        "../envs/emjax.yaml"
    resources:
        mem_mb=lambda wildcards, input, attempt: int(
            (2000 + 4 * input.size_mb) * attempt
        ),
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        emjax=EMJAX_VERSION,
        image_root=config["image_root"],
        on_mixed_optics=config["on_mixed_optics"],
        formats=config["export"],
    message:
        "Writing the classes for {params.formats}"
    script:
        "../scripts/export_classes.py"
