# `make help` lists the targets. Each target installs its requirements in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
# Dependency group of the Keras backend.
KERAS_GROUP := $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
SOURCES := pyproject.toml constraints.txt

DATA ?= google-research-datasets/go_emotions:simplified
VECTORS ?= self
OUT ?= models/mine
BUILD ?= data/build
TWEETS ?= stanfordnlp/sentiment140
# Parquet file of generated rows from an earlier build, written by data_build report --generated
GENERATED ?=
TEACHER ?= SamLowe/roberta-base-go_emotions
TARGET ?=
ENCODER ?= sentence-transformers/all-MiniLM-L6-v2
WRITTEN ?= data_build/written
# Teachers fine-tuned on GoEmotions. To add a larger teacher, append its precomputed probabilities to each source:
# REDDIT=data/goemotions=FILE.npz:NAME TWEETS_TO_LABEL="tweets.csv=FILE.npz:NAME tweets.txt=FILE.npz:NAME".
TEACHERS ?= models/teacher
REDDIT ?= $(DATA)
TWEETS_TO_LABEL ?=
EVERYDAY := models/teacher-everyday
LABEL := $(BIN)/python -m train label --official $(DATA)
FIT := --data $(DATA) --vocabulary all --min-frequency 5 --symbols --dropout 0.2 --embedding-dropout 0.1 --prior-bias \
  --decay cosine --batch-size 512 --thresholds shrunk --embedding-bits 8 --max-words 22000 --word-pieces 6000 --typos 0.1 \
  --misspellings 2000 --label-weights rarity --epochs 5 --calibrate
FIRST := $(FIT) --vectors encoder:$(firstword $(TEACHERS)) \
  $(patsubst %,--soft-targets data/soft-%.parquet,goemotions $(if $(TWEETS_TO_LABEL),first-tweets) first-varied)
STUDENT := $(FIT) --repeats 3 --max-length 128 --vectors encoder:$(EVERYDAY) --extra $(WRITTEN) --extra-repeats 2 \
  --extra-label-share 0.5 \
  $(patsubst %,--soft-targets data/soft-%.parquet,goemotions $(if $(TWEETS_TO_LABEL),tweets) varied written-varied written)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-lowest test-web check train web data data-demo docs docs-site hub-tour teacher everyday-teacher soft-targets default-model accurate-model screenshot sample-report bench-demo bench bench-accurate bench-quick bench-web release-check clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/demo ## open the demo on the bundled model, offline
	$(BIN)/python space/app.py

test: $(VENV)/dev ## run the tests, two files at a time
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: $(VENV)/dev ## run the slow tests
	$(BIN)/python -m pytest -m slow

test-lowest: $(BIN)/python ## run the library's tests with the lowest supported versions of its dependencies
	$(BIN)/python tests/lowest_versions.py

web: web/node_modules/.package-lock.json ## build the npm package and the static page (needs Node 20 or later)
	cd web && npm run --silent build

test-web: $(VENV)/dev ## run only the tests of the npm package and the static page
	$(BIN)/python -m pytest tests/web

check: $(VENV)/dev ## check formatting, lint, types and generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/build.py --check

train: $(VENV)/train ## train a model: make train DATA=... VECTORS=... OUT=...
	$(BIN)/python -m train fit --data $(DATA) --vectors $(VECTORS) --out $(OUT) $(OPTIONS)

data: $(VENV)/data ## build the data set, without the human review: make data DATA=... TWEETS=... TEACHER=... BUILD=... TARGET=...
	$(BIN)/python -m data_build goemotions $(BUILD) --data $(DATA)
	$(BIN)/python -m data_build sentiment140 $(BUILD) --tweets $(TWEETS)
	$(BIN)/python -m data_build written $(BUILD)
	test -z "$(GENERATED)" || $(BIN)/python -m data_build generate $(BUILD) --rows $(GENERATED)
	$(BIN)/python -m data_build relabel $(BUILD) --teacher $(TEACHER) --evaluate
	$(BIN)/python -m data_build verify $(BUILD) $(if $(GENERATED),--alignment intended)
	$(BIN)/python -m data_build balance $(BUILD) $(if $(TARGET),--target $(TARGET))
	$(BIN)/python -m data_build report $(BUILD) --results $(BUILD)/dataset.json --document $(BUILD)/dataset.md

data-demo: $(VENV)/dev ## run all stages on a bundled sample, offline, in about a minute
	$(BIN)/python -m tests.data_demo

docs: $(VENV)/dev ## regenerate the tables, example output and error messages in README.md and docs/
	$(BIN)/python docs/build.py
	$(BIN)/python -m tests.errors

docs-site: $(VENV)/docs ## build the documentation site in build/docs-site/site; a broken link fails
	$(BIN)/python docs/build_site.py build/docs-site

hub-tour: $(VENV)/dev ## test publishing, training, pushing and deploying end to end, on a local mock of the Hub
	$(BIN)/python -m tests.hub_tour

screenshot: $(VENV)/dev web ## take screenshots of the demo, the static page and the report (needs chromium and Node)
	$(BIN)/python -m docs.screenshot docs/demo.png
	$(BIN)/python -m docs.screenshot docs/demo.gif
	$(BIN)/python -m docs.screenshot docs/screens

sample-report: $(VENV)/dev ## generate docs/sample-report.html
	$(BIN)/python docs/sample_report.py docs/sample-report.html

bench-demo: $(VENV)/dev ## load-test the demo: startup, latency, table scoring, memory
	$(BIN)/python -m benchmarks.demo results/demo.json

bench: $(VENV)/dev ## compare speed and memory with other models (takes 15 minutes): make bench DATA=... (BENCH="--teacher ... --roberta ...")
	$(BIN)/python -m benchmarks.bench results/bench.json --data $(DATA) $(BENCH)

bench-accurate: $(VENV)/dev ## compare the accurate model with RoBERTa-base (takes 15 minutes): make bench-accurate DATA=...
	$(BIN)/python -m benchmarks.bench results/bench-accurate.json --data $(DATA) --peers accurate roberta_int8 roberta_float32 --rounds 3

bench-web: $(VENV)/dev web web/bench/node_modules/.package-lock.json ## compare the npm package with transformers.js: make bench-web DATA=...
	$(BIN)/python -m benchmarks.web results/web.json --data $(DATA)

bench-quick: $(VENV)/dev ## fail if the speedup over the unfolded graph is below the recorded one
	$(BIN)/python -m benchmarks.bench --quick

teacher: $(VENV)/data $(VENV)/train ## fine-tune your own teacher: make teacher DATA=... ENCODER=...
	$(BIN)/python -m train teacher --base $(ENCODER) --data $(DATA) --out models/teacher

everyday-teacher: $(VENV)/data $(VENV)/train ## fine-tune a teacher further, with the written texts added: make everyday-teacher DATA=... TEACHERS=...
	test -e data/soft-reddit.parquet || $(LABEL) --texts $(REDDIT) $(if $(findstring .npz:,$(REDDIT)),,$(TEACHERS:%=--teacher %)) --out data/soft-reddit.parquet
	test -e $(EVERYDAY) || $(BIN)/python -m train teacher --base $(firstword $(TEACHERS)) --data $(DATA) --extra $(WRITTEN) \
	  --soft-targets data/soft-reddit.parquet --epochs 2 --learning-rate 1e-4 --head-factor 3 --out $(EVERYDAY)

data/soft-goemotions.parquet: | $(VENV)/data $(VENV)/train
	$(LABEL) --texts $(REDDIT) $(TEACHERS:%=--teacher %) --out $@

soft-targets: everyday-teacher data/soft-goemotions.parquet ## label the training texts with the teachers and a first student model
	test -e data/varied.txt || $(BIN)/python -m train augment --data $(DATA) --encoder $(firstword $(TEACHERS)) --copies 8 --out data/varied.txt
	test -e data/soft-first-varied.parquet || $(LABEL) --texts data/varied.txt $(TEACHERS:%=--teacher %) --out data/soft-first-varied.parquet
	test -z "$(TWEETS_TO_LABEL)" || test -e data/soft-first-tweets.parquet || $(LABEL) $(TWEETS_TO_LABEL:%=--texts %) $(TEACHERS:%=--teacher %) \
	  --out data/soft-first-tweets.parquet
	test -f models/first/emotions.json || $(BIN)/python -m train fit $(FIRST) --out models/first
	test -z "$(TWEETS_TO_LABEL)" || test -e data/soft-tweets.parquet || $(LABEL) $(TWEETS_TO_LABEL:%=--texts %) $(TEACHERS:%=--teacher %) \
	  --teacher $(EVERYDAY) --teacher models/first --out data/soft-tweets.parquet
	test -e data/soft-varied.parquet || $(LABEL) --texts data/varied.txt $(TEACHERS:%=--teacher %) --teacher models/first --out data/soft-varied.parquet
	test -e data/written-varied.txt || $(BIN)/python -m train augment --data $(WRITTEN) --encoder $(firstword $(TEACHERS)) --copies 3 --out data/written-varied.txt
	test -e data/soft-written-varied.parquet || $(LABEL) --texts data/written-varied.txt --teacher $(EVERYDAY) --out data/soft-written-varied.parquet
	test -e data/soft-written.parquet || $(LABEL) --texts $(WRITTEN) --teacher $(EVERYDAY) --out data/soft-written.parquet

default-model: $(VENV)/data $(VENV)/train ## train, evaluate and bundle the default model with three seeds (run make soft-targets first)
	for seed in 0 1 2; do test -f models/default-$$seed/emotions.json || $(BIN)/python -m train fit $(STUDENT) --seed $$seed \
	  --out models/default-$$seed --log results/quality-log.jsonl --note "default model, seed $$seed" || exit; done
	for seed in 0 1 2; do $(BIN)/python -m train evaluate models/default-$$seed --split test || exit; done
	for seed in 0 1 2; do $(BIN)/python -m train evaluate models/default-$$seed --data everyday --split test || exit; done
	for seed in 0 1 2; do $(BIN)/python -m train robustness models/default-$$seed || exit; done
	$(BIN)/python -m train seeds models/default-0 models/default-1 models/default-2 --split test
	$(BIN)/python -m train seeds models/default-0 models/default-1 models/default-2 --split test --typos 0.2 --against-plain --out results/typos.json --overwrite
	$(BIN)/python -m train bundle models/default-0 models/default-1 models/default-2 --terms train/release/default_model_terms.md

accurate-model: everyday-teacher data/soft-goemotions.parquet ## train, evaluate and bundle the accurate model with two seeds: make accurate-model DATA=... TEACHERS=... TWEETS=...
	test -e models/pruned || $(BIN)/python -m train prune --base $(firstword $(TEACHERS)) --texts $(DATA) --texts $(WRITTEN) --texts $(TWEETS) --out models/pruned
	test -e models/encoder-first || $(BIN)/python -m train teacher --base models/pruned --data $(DATA) --extra $(WRITTEN) \
	  --soft-targets data/soft-reddit.parquet --epochs 2 --learning-rate 1e-4 --head-factor 3 --weights float32 --out models/encoder-first
	test -e data/accurate-varied.txt || $(BIN)/python -m train augment --data $(DATA) --encoder $(firstword $(TEACHERS)) --copies 1 --out data/accurate-varied.txt
	test -e data/soft-accurate-varied.parquet || $(LABEL) --texts data/accurate-varied.txt $(TEACHERS:%=--teacher %) --teacher models/encoder-first \
	  --out data/soft-accurate-varied.parquet
	test -e data/accurate-written-varied.txt || $(BIN)/python -m train augment --data $(WRITTEN) --encoder $(firstword $(TEACHERS)) --copies 1 \
	  --out data/accurate-written-varied.txt
	test -e data/soft-accurate-written-varied.parquet || $(LABEL) --texts data/accurate-written-varied.txt --teacher models/encoder-first \
	  --out data/soft-accurate-written-varied.parquet
	for seed in 0 1; do test -e models/encoder-$$seed || $(BIN)/python -m train teacher --base models/encoder-first --data $(DATA) --extra $(WRITTEN) \
	  --extra-repeats 1 $(patsubst %,--soft-targets data/soft-%.parquet,goemotions accurate-varied accurate-written-varied) --label-share 0.1 --epochs 1 \
	  --learning-rate 4e-5 --head-factor 1 --weights float32 --seed $$seed --out models/encoder-$$seed || exit; done
	for seed in 0 1; do test -e models/accurate-$$seed || $(BIN)/python -m train encoder models/encoder-$$seed --out models/accurate-$$seed || exit; done
	test -e models/encoder-mean || $(BIN)/python -m train average models/encoder-0 models/encoder-1 --out models/encoder-mean
	test -e models/accurate || $(BIN)/python -m train encoder models/encoder-mean --out models/accurate
	$(BIN)/python -m train evaluate models/accurate --split test
	$(BIN)/python -m train robustness models/accurate
	$(BIN)/python -m train evaluate models/accurate --data everyday --split test
	$(BIN)/python -m train seeds models/accurate-0 models/accurate-1 --split test --out models/accurate/training/seeds.json --overwrite
	$(BIN)/python -m train bundle models/accurate --package evenmood/accurate_model --results results/accurate_model.json \
	  --terms train/release/accurate_model_terms.md

release-check: $(VENV)/release ## build, install and test the release artifacts (TAG=vX.Y.Z to check the tag)
	$(BIN)/python .ci/release_check.py $(TAG:%=--tag %)

clean: ## remove the virtual environment, caches and build output; keep trained models
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache

web/node_modules/.package-lock.json web/bench/node_modules/.package-lock.json: %/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(BIN)/python:
	@$(PYTHON) .ci/python_version.py
	$(PYTHON) -m venv $(VENV)

$(VENV)/pip: | $(BIN)/python  # pip 25.1 introduced --group; also upgrade an existing .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/demo: $(SOURCES) | $(VENV)/pip
	$(PIP) --editable . --group space
	@touch $@

$(VENV)/train: $(SOURCES) | $(VENV)/pip
	@$(BIN)/python .ci/python_version.py training
	$(PIP) --editable . --group train --group $(KERAS_GROUP)
	@touch $@

$(VENV)/data: $(SOURCES) | $(VENV)/pip
	$(PIP) --editable . --group data
	@touch $@

$(VENV)/docs: $(SOURCES) | $(VENV)/pip
	$(PIP) --editable . --group docs
	@touch $@

$(VENV)/dev: $(SOURCES) | $(VENV)/pip
	@$(BIN)/python .ci/python_version.py training
	$(PIP) --editable ".[eval,parquet,ray,xlsx]" --group dev --group train --group $(KERAS_GROUP) --group data --group space
	@touch $@

$(VENV)/release: $(SOURCES) | $(VENV)/dev
	$(PIP) --group release
	@touch $@
