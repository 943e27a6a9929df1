# Thin names over scripts/, which do the work and which CI calls too.
.PHONY: help setup demo test test-unit vm lint bench docs clean
.DEFAULT_GOAL := help

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Install whatever is missing here, and say what before.
	@scripts/setup

demo: ## Roll releases over five machines, then start Java pods warm. ARGS="--help".
	@scripts/demo $(ARGS)

test: ## Everything that CI checks: lint and all tests. ARGS go to pytest.
	@scripts/test $(ARGS)

test-unit: ## Unit and property tests alone: no Go, nothing from apt.
	@scripts/test-unit $(ARGS)

vm: ## Real firmware, kernels and systemd under QEMU. ARGS go to pytest.
	@scripts/vm $(ARGS)

lint: ## Format, style, types, layers, sizes, generated files.
	@scripts/lint

bench: ## Measure. NAME=plan for one benchmark, FORMAT=json for rows.
	@scripts/bench "$(NAME)" "$(FORMAT)"

docs: ## Check every link of the documentation, and write it as a site to build/site.
	@scripts/docs

clean: ## Remove what builds and tests dropped here. Stops nothing, keeps the caches.
	@scripts/clean
