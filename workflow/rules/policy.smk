# After the reward models, where the experiment has a part `policy`: sampling, pairs, DPO.
from steps.config.prompts import RELEASE_PROMPTS

POLICY = f"results/{OWN_NAME}/policy"
POLICY_CARDS = f"results/{OWN_NAME}/cards/policy"
POLICY_LOGS = f"results/{OWN_NAME}/logs/policy"

if OWN.policy is not None and OWN.policy.prompts is not None:
    # Prompts of the policies' own, which no reward model knows.
    PAIR_PROMPTS, HELD_OUT = (f"{POLICY}/prompts/{split}.parquet" for split in ("train", "test"))
    EVALUATION_PROMPTS = [HELD_OUT]

    rule download_prompts:
        output:
            directory(OWN.policy.prompts.rows),
        log:
            f"{OWN.policy.prompts.rows}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            experiment=OWN_FILE,
            card=f"{OWN.policy.prompts.rows}.card.json",
        shell:
            "python -m steps.download prompts --experiment {params.experiment} --output {output}"
            " --card {params.card} 2>&1 | tee {log}"

    rule release_prompts:
        input:
            raw=rules.download_prompts.output,
            hashes=RELEASE_PROMPTS,
        output:
            PAIR_PROMPTS,
            HELD_OUT,
            f"{POLICY}/prompts/report.json",
        log:
            f"{POLICY_LOGS}/prompts.log",
        conda:
            "../../environment.yml"
        resources:
            **ask("release_prompts"),
        params:
            depends=depends(OWN, [], [".", "benchmarks"]),
            prompts=OWN.policy.prompts.model_dump(),
            experiment=OWN_FILE,
            folder=lambda wildcards, output: Path(output[0]).parent,
            card=f"{POLICY_CARDS}/prompts.json",
        shell:
            "python -m steps.benchmarks.release_prompts --experiment {params.experiment}"
            " --raw {input.raw} --hashes {input.hashes} --output {params.folder}"
            " --card {params.card} 2>&1 | tee {log}"

elif OWN.policy is not None:
    PAIR_PROMPTS, HELD_OUT = (
        f"{RESULTS}/groups/{s}.parquet" for s in ("train", OWN.policy.held_out)
    )
    EVALUATION_PROMPTS = expand(f"{RESULTS}/groups/{{set}}.parquet", set=EVALUATION_SETS)


if OWN.policy is not None:
    POLICY_RUNS = [f"{method}-seed{seed}" for method, seed in OWN.policy_runs]

    wildcard_constraints:
        use="|".join(OWN.policy.sampling),
        policy="|".join([*POLICY_RUNS, "reference"]),
        run="|".join(POLICY_RUNS),

    rule sample:
        input:
            model=lambda wildcards: (
                BACKBONE_FILES
                if wildcards.policy == "reference"
                else [f"{POLICY}/models/{wildcards.policy}"]
            ),
            groups=lambda wildcards: PAIR_PROMPTS if wildcards.use == "pairs" else HELD_OUT,
        output:
            f"{POLICY}/samples/{{use}}/{{policy}}.parquet",
        log:
            f"{POLICY_LOGS}/sample-{{use}}-{{policy}}.log",
        conda:
            "../../environment.yml"
        threads: OWN.threads
        resources:
            **ask("sample"),
        params:
            depends=depends(OWN, ["threads"], [".", "sample"]),
            sampling=lambda wildcards: OWN.policy.sampling[wildcards.use].model_dump(),
            experiment=OWN_FILE,
            work=f"results/{OWN_NAME}/unfinished/sample-{{use}}-{{policy}}",
            card=f"{POLICY_CARDS}/sample-{{use}}-{{policy}}.json",
        shell:
            "python -m steps.sample --experiment {params.experiment} --use {wildcards.use}"
            " --model {input.model[0]:q} --groups {input.groups} --name {wildcards.policy}"
            " --output {output} --work {params.work} --card {params.card} 2>&1 | tee {log}"

    rule score_samples:
        input:
            model=lambda wildcards: Path(RESULTS, "models", *wildcards.run.rsplit("-", 1)),
            samples=f"{POLICY}/samples/{{use}}/reference.parquet",
        output:
            f"{POLICY}/scores/{{use}}/{{run}}.parquet",
        log:
            f"{POLICY_LOGS}/score-{{use}}-{{run}}.log",
        conda:
            "../../environment.yml"
        threads: OWN.threads
        resources:
            **ask("score_samples"),
        params:
            depends=depends(OWN, ["threads"], [".", "score"]),
            precision=OWN.training.precision,
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/score-{{use}}-{{run}}.json",
        shell:
            "python -m steps.score --model {input.model} --input {input.samples}"
            " --precision {params.precision} --threads {threads} --output {output}"
            " --card {params.card} --experiment {params.experiment} 2>&1 | tee {log}"

    rule select_policy_pairs:
        input:
            groups=f"{POLICY}/samples/pairs/reference.parquet",
            scores=f"{POLICY}/scores/pairs/{{run}}.parquet",
            evaluation=EVALUATION_PROMPTS,
        output:
            pairs=f"{POLICY}/pairs/{{run}}.parquet",
            report=f"{POLICY}/pairs/{{run}}.json",
        log:
            f"{POLICY_LOGS}/pairs-{{run}}.log",
        conda:
            "../../environment.yml"
        resources:
            **ask("select_policy_pairs"),
        params:
            depends=depends(OWN, [], [".", "preferences"]),
            pairs=OWN.policy.pairs.model_dump(),
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/pairs-{{run}}.json",
        shell:
            "python -m steps.preferences --experiment {params.experiment} --groups {input.groups}"
            " --scores {input.scores} --evaluation {input.evaluation} --output {output.pairs}"
            " --report {output.report} --card {params.card} 2>&1 | tee {log}"

    rule reference_log_probabilities:
        input:
            model=BACKBONE_FILES,
            pairs=expand(f"{POLICY}/pairs/{{run}}.parquet", run=POLICY_RUNS),
        output:
            f"{POLICY}/reference.parquet",
        log:
            f"{POLICY_LOGS}/reference.log",
        conda:
            "../../environment.yml"
        threads: OWN.threads
        resources:
            **ask("reference_log_probabilities"),
        params:
            depends=depends(OWN, ["threads"], [".", "policy"]),
            dpo=OWN.policy.dpo.model_dump() if OWN.policy.dpo else None,
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/reference.json",
        shell:
            "python -m steps.policy reference --experiment {params.experiment}"
            " --model {input.model[0]:q} --pairs {input.pairs} --output {output}"
            " --card {params.card} 2>&1 | tee {log}"

    rule train_policy:
        input:
            model=BACKBONE_FILES,
            pairs=f"{POLICY}/pairs/{{run}}.parquet",
            reference=rules.reference_log_probabilities.output,
        output:
            model=directory(f"{POLICY}/models/{{run}}"),
            log=f"{POLICY}/training/{{run}}.csv",
        log:
            f"{POLICY_LOGS}/train-{{run}}.log",
        conda:
            "../../environment.yml"
        threads: OWN.threads
        resources:
            **ask("train_policy"),
        params:
            depends=depends(OWN, ["threads"], [".", "policy", "train"]),
            dpo=OWN.policy.dpo.model_dump() if OWN.policy.dpo else None,
            experiment=OWN_FILE,
            seed=lambda wildcards: wildcards.run.rpartition("-seed")[2],
            work=f"results/{OWN_NAME}/unfinished/policy-{{run}}",
            card=f"{POLICY_CARDS}/train-{{run}}.json",
        shell:
            "python -m steps.policy train --experiment {params.experiment}"
            " --model {input.model[0]:q} --pairs {input.pairs} --reference {input.reference}"
            " --seed {params.seed} --work {params.work} --output {output.model}"
            " --training-log {output.log} --card {params.card} 2>&1 | tee {log}"

    rule divergence:
        input:
            model=f"{POLICY}/models/{{run}}",
            start=BACKBONE_FILES,
            samples=f"{POLICY}/samples/policies_sampled/{{run}}.parquet",
        output:
            f"{POLICY}/kl/{{run}}.parquet",
        log:
            f"{POLICY_LOGS}/kl-{{run}}.log",
        conda:
            "../../environment.yml"
        threads: OWN.threads
        resources:
            **ask("divergence"),
        params:
            depends=depends(OWN, ["threads"], [".", "policy"]),
            experiment=OWN_FILE,
            card=f"{POLICY_CARDS}/kl-{{run}}.json",
        shell:
            "python -m steps.policy kl --experiment {params.experiment} --use policies_sampled"
            " --model {input.model} --reference-model {input.start[0]:q}"
            " --samples {input.samples} --output {output} --card {params.card} 2>&1 | tee {log}"
