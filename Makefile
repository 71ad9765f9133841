# Everything a user types. Each target sets up what it needs and does nothing twice.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Bytecode is kept, whatever this machine is told elsewhere: without, each start compiles all anew.
export PYTHONDONTWRITEBYTECODE :=
LAB := .venv/bin/lab

# What to measure: a plan in lab/plans (smoke, default, study) or a file of your own.
PLAN ?= default
# What to build images for, e.g. PLATFORMS=linux/amd64,linux/arm64; empty: the engine's own platform.
PLATFORMS ?=
# Further flags for the command behind a target, e.g. ARGS="--bandwidth 200Mbit".
ARGS ?=
# An image of yours, and a file that it can be asked to predict on.
IMAGE ?=
PAYLOAD ?=
# What `make check` holds an image to.
BUDGET ?= budget.yaml
# Only some tests: flags for pytest, e.g. TESTS="tests/unit -k stats". Empty: all of the first ring.
TESTS ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make the virtual environment that the tool runs in
	@scripts/setup lab

.PHONY: setup-test
setup-test:
	@scripts/setup test

.PHONY: try
try: setup ## Try an image of yours: make try IMAGE=my-model:3 PAYLOAD=request.json
	@test -n "$(IMAGE)" || { echo 'make try needs IMAGE=..., and PAYLOAD=FILE if there is one' >&2; exit 2; }
	@$(LAB) try $(IMAGE) $(if $(PAYLOAD),--payload $(PAYLOAD)) $(ARGS)

.PHONY: check
check: setup ## Hold an image to a budget, as CI does: make check BUDGET=budget.yaml
	@$(LAB) check $(BUDGET) $(ARGS)

.PHONY: tune
tune: setup ## Which memory size or instance for an image, for what money: make tune IMAGE=... PAYLOAD=...
	@test -n "$(IMAGE)" || { echo 'make tune needs IMAGE=..., and PAYLOAD=FILE unless it is a variant' >&2; exit 2; }
	@$(LAB) tune $(IMAGE) $(if $(PAYLOAD),--payload $(PAYLOAD)) $(ARGS)

.PHONY: up
up: setup ## Start the SageMaker look-alike on 127.0.0.1, with two endpoints
	@$(LAB) up $(ARGS)

.PHONY: down
down: setup ## Stop it, model containers included; endpoints come back with the next `make up`
	@$(LAB) down

.PHONY: down-all
down-all: setup ## Stop it and forget its endpoints, logs and volumes
	@$(LAB) down --all

.PHONY: demo
demo: setup ## Send some minutes of traffic, so that every dashboard has something to show
	@$(LAB) demo $(ARGS)

.PHONY: render
render: setup ## Draw the dashboards from the live Prometheus as one page: dashboards.html
	@$(LAB) observe render $(ARGS)

.PHONY: check-grafana
check-grafana: setup ## Check the dashboards in a real Grafana: every board, panel, query
	@$(LAB) observe check-grafana $(ARGS)

.PHONY: endpoint-bench
endpoint-bench: setup ## Measure what the emulator adds to a request, and how much it carries
	@$(LAB) endpoint bench $(ARGS)

.PHONY: coldstart-bench
coldstart-bench: setup ## Build what is missing, measure cold starts (PLAN=default), write the report
	@$(LAB) coldstart run $(PLAN) $(ARGS)

.PHONY: serve-bench
serve-bench: setup ## Measure what the HTTP layer costs over the model itself
	@$(LAB) serve-bench $(ARGS)

.PHONY: models
models: setup ## Make both models from their stored weights, and their archives (ARGS=--retrain: train anew)
	@$(LAB) models build $(ARGS)

.PHONY: images
images: setup ## Build the images of all variants (PLATFORMS=linux/amd64,linux/arm64: for both)
	@$(LAB) images build $(if $(PLATFORMS),--platform $(PLATFORMS)) $(ARGS)

.PHONY: push-aws
push-aws: setup ## Put an image and a model on AWS: looks, plans, asks; it costs money
	@$(LAB) push aws $(ARGS)

.PHONY: destroy-aws
destroy-aws: setup ## Take away all that `make push-aws` made, and show that nothing is left
	@$(LAB) push destroy $(ARGS)

.PHONY: images-parity
images-parity: setup ## Ask both platforms of each image the same, and compare the answers
	@$(LAB) images parity $(ARGS)

.PHONY: doctor
doctor: setup ## Say what this machine has, lacks, and what to do about it
	@$(LAB) doctor

.PHONY: lint
lint: setup-test ## ruff, mypy --strict and the layers
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

.PHONY: test
test: setup-test ## Set up everything, lint, run all tests of the first ring: a quarter of an hour
	@$(if $(TESTS),scripts/setup_programs && .venv/bin/pytest $(TESTS),scripts/test short)

.PHONY: test-long
test-long: setup-test ## What `make test` leaves out, before a release: half an hour
	@scripts/test long

.PHONY: test-emulated
test-emulated: setup ## Both platforms of every variant: build, compare, check; TensorFlow too, so an hour
	@$(LAB) images build --platform linux/amd64,linux/arm64
	@$(LAB) images parity --count 10
	@for variant in onnx slim twostage baseline; do \
	    $(LAB) contract check $$variant --platform linux/arm64 --quick || exit $$?; done

.PHONY: test-unit
test-unit: setup-test ## Run the tests that need no engine
	@.venv/bin/pytest tests/unit -n $$(($$(getconf _NPROCESSORS_ONLN) + 1))

.PHONY: lock
lock: setup-test ## Resolve requirements/*.in again, with hashes and without index addresses
	@scripts/lock

.PHONY: clean
clean: setup ## Remove what the lab made here: containers, images, models, caches; runs stay
	@$(LAB) clean $(ARGS)
