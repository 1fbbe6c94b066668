# `make quickstart` runs the default experiment, `make test` the tests (CONTRIBUTING.md names three
# long ones); `make plan EXPERIMENT=<name>` says what an experiment will take. All make .venv first.
PYTHON ?= python3.11
EXPERIMENT ?= quickstart
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: quickstart quickstart-policy plan test test-slurm test-faults test-dvc adopt audit tiny lint \
	publish crosscheck-rewardbench bench bench-data bench-growth bench-gpu

quickstart: .venv/installed
	snakemake --rerun-incomplete
	@cat results/quickstart/tables/main.md
	@echo 'Tables:  results/quickstart/tables   Figures: results/quickstart/figures'

# Goes on from the quickstart's reward models, which it trains first where they are not there.
quickstart-policy: .venv/installed
	snakemake --rerun-incomplete --config experiment=quickstart_policy
	@cat results/quickstart_policy/policy/tables/policies.md

plan: .venv/installed
	python -m steps.plan --experiment config/$(EXPERIMENT).yaml

test: .venv/installed
	python -m pytest --numprocesses 2 --dist loadfile

# On a real SLURM that the tests start, the last time with accounting; needs root and Debian packages.
test-slurm: .venv/installed
	python -m pytest -m slurm tests/slurm
	ACCOUNTING=1 python -m pytest -m slurm tests/slurm -k controller_died

# Writes what it tried and what came of it to results/faults; without the first line, some of the
# tests may be run anew and the table is that of all.
test-faults: .venv/installed
	rm -rf results/faults
	python -m pytest -m faults tests/faults

# The whole tiny experiment under DVC, compared with Snakemake's, and a remote on S3; minutes.
test-dvc: .venv/installed .venv-dvc-s3/installed
	python -m pytest -m dvc tests
	.venv-dvc-s3/bin/python -m pytest tests/test_dvc.py -k s3_remote

# What .venv holds, and what S3 remotes need besides.
.venv-dvc-s3/installed: .venv/installed requirements-s3.txt
	test -x .venv-dvc-s3/bin/python || .venv/bin/python -m venv .venv-dvc-s3
	.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-dvc-s3/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv.pth"
	.venv-dvc-s3/bin/python -m pip install --quiet --constraint requirements.lock \
		--requirement requirements-s3.txt
	touch $@

# After `dvc pull`, `repro` or `commit`: Snakemake takes for its own what DVC finds unchanged
# (docs/dvc.md).
adopt: .venv/installed
	@dvc status --quiet || { dvc status; echo "error: nothing is adopted, for DVC finds files other" \
		"than in dvc.lock; bring them in line with 'dvc pull' or 'dvc repro', then start again" >&2; exit 1; }
	snakemake --touch --forceall --config experiment=$(EXPERIMENT)

# Known vulnerabilities of the locked packages; fails too where they cannot be looked up.
AUDIT = .venv-audit/bin/pip-audit --no-deps --disable-pip --strict --requirement
audit: .venv-audit/installed
	$(AUDIT) requirements.lock
	$(AUDIT) requirements-s3.txt
	$(AUDIT) checks/rewardbench/requirements.txt

.venv-audit/installed: Makefile
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit==2.10.1
	touch $@

tiny: .venv/installed
	snakemake --rerun-incomplete --config experiment=tiny_policy

lint: .venv/installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

# How fast the steps are, beside others' tools (docs/speed.md). Nothing else should run meanwhile.
# `make bench ONLY="against_trl against_plain_caching"` measures some of the comparisons. Without the
# publisher's environment its row is left out.
bench: bench-data
	-$(MAKE) .venv-rewardbench/installed
	python -m benchmarks cpu $(if $(ONLY),--only $(ONLY))

bench-growth: bench-data
	python -m benchmarks growth $(if $(ONLY),--only $(ONLY))

bench-gpu: bench-data
	python -m benchmarks gpu $(if $(ONLY),--only $(ONLY))

bench-data: .venv/installed
	snakemake --rerun-incomplete results/speed/groups/train.parquet --config experiment=speed

# Copies tables and figures of the experiments that were run to where the README shows them: the very
# files that are published already. What a run adds is published once it has been copied by hand.
PUBLISHED = quickstart comparison champ_best_of_32 quickstart_benchmarks quickstart_policy
publish:
	@for name in $(PUBLISHED); do \
		made=results/$$name; test ! -d $$made/policy || made=$$made/policy; \
		test -d $$made || { echo "no $$made: results/published/$$name stays"; continue; }; \
		(cd results/published/$$name && find * -type f | sort) | while read -r file; do \
			test -f $$made/$$file || { echo "no $$made/$$file: the published one stays"; continue; }; \
			cp $$made/$$file results/published/$$name/$$file || exit 1; \
		done || exit 1; \
	done

# Scores the pairs of INPUT with the exported model MODEL twice, by us and by the publisher's own
# program, and compares the rewards.
crosscheck-rewardbench: .venv/installed .venv-rewardbench/installed
	python -m checks.rewardbench --model '$(MODEL)' --input '$(INPUT)' \
		--python .venv-rewardbench/bin/python --output results/crosscheck-rewardbench.csv

# PEP 517: wavedrom is a source package, whose own build cannot install what it needs any more.
.venv-rewardbench/installed: checks/rewardbench/requirements.txt
	test -x .venv-rewardbench/bin/python || $(PYTHON) -m venv .venv-rewardbench
	.venv-rewardbench/bin/python -m pip install --quiet --use-pep517 \
		--requirement checks/rewardbench/requirements.txt
	touch $@

.venv/installed: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	python -m pip install --quiet --requirement requirements.lock
	touch $@
