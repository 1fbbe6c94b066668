# Before stage 4, where the experiment asks for it: the generator, fine-tuned on the training responses.
if EXPERIMENT.generator.fine_tuning is not None:

    rule train_generator:
        input:
            model=model_files(EXPERIMENT.generator_model),
            groups=f"{RESULTS}/groups/train.parquet",
            pairs=f"{RESULTS}/pairs/train.parquet",
        output:
            model=directory(GENERATOR_FILES[0]),
            log=f"{RESULTS}/generator/log.csv",
        log:
            f"{RESULTS}/logs/generator.log",
        priority: 20
        conda:
            "../../environment.yml"
        threads: EXPERIMENT.threads
        resources:
            **ask("train_generator"),
        params:
            depends=depends(EXPERIMENT, ["threads"], [".", "train", "objectives", "cache"]),
            fine_tuning=EXPERIMENT.generator.fine_tuning.model_dump(),
            experiment=FILE,
            work=f"{RESULTS}/unfinished/generator",
            card=f"{RESULTS}/cards/generator.json",
        shell:
            "{resources.launch} steps.train generator --experiment {params.experiment}"
            " --model {input.model[0]:q} --groups {input.groups} --pairs {input.pairs}"
            " --work {params.work} --output {output.model} --training-log {output.log}"
            " --card {params.card} 2>&1 | tee {log}"
