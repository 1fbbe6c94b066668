# Stage 9, not part of `all`: models as folders that stand alone, with a model card.
rule export:
    input:
        model=f"{RESULTS}/models/{{method}}/seed{{seed}}",
        evaluation=rules.evaluate.output,
        guide="docs/methods.md",  # the card quotes the method's equation and source
    output:
        directory(f"{RESULTS}/exports/{{method}}/seed{{seed}}"),
    log:
        f"{RESULTS}/logs/export-{{method}}-seed{{seed}}.log",
    conda:
        "../../environment.yml"
    resources:
        **ask("export"),
    params:
        depends=depends(EXPERIMENT, ["title"], [".", "export", "report"]),
        method=lambda wildcards: method_hash(wildcards.method),
        experiment=FILE,
        training=f"{RESULTS}/cards/train-{{method}}-seed{{seed}}.json",
        card=f"{RESULTS}/cards/export-{{method}}-seed{{seed}}.json",
    shell:
        "python -m steps.export --model {input.model} --output {output} --experiment {params.experiment}"
        " --evaluation {input.evaluation} --training-card {params.training}"
        " --card {params.card} 2>&1 | tee {log}"


rule exports:
    input:
        [
            f"{RESULTS}/exports/{method}/seed{seed}"
            for method in EXPERIMENT.trained_methods
            for seed in EXPERIMENT.seeds
        ],
