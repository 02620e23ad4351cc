# Classes of equal defocus.

TOY = METHODS["toy"]

for batch in TOY.batches(config):

    rule classify_toy:
        input:
            **PREPARED_FILES,
        output:
            **files_of_runs(batch.runs),
        log:
            log_of("classify_toy"),
        conda:
            "../envs/emjax.yaml"
        resources:
            **computing("classify_toy", lambda size: TOY.cost(size, config, batch)),
        params:
            emjax=EMJAX_VERSION,
            options=TOY.options(config),
        script:
            "../scripts/classify_toy.py"
