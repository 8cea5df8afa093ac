# make help lists what there is. Everything a step needs is installed by the step itself, once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?=
RUN := .venv/bin/
TEMPLATES ?= desktop minimal
# how many run side by side: most tests wait for one machine, which keeps one core busy, and takes memory
TEST_WORKERS ?= $(shell awk -v cores=$$(nproc) '/^MemTotal/ {n = int($$2 / 6e6); m = cores + 1; if (m > 4) m = 4; \
	if (n > m) n = m; print (n > 1 ? n : 1)}' /proc/meminfo)
# a test that fails is tried once more, and listed at the end as RERUN: on a shared machine a process may stand for a second
TEST_RERUNS ?= 1

.PHONY: help setup run image test check fix bench clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## install Debian packages and the Python environment (once)

NEEDS := pyproject.toml guest_image/requirements.txt viewer/package-lock.json scripts/setup scripts/debian-packages

.venv/.ready: $(NEEDS)
	@PYTHON="$(PYTHON)" scripts/setup

.venv/.ready-run: $(NEEDS)
	@PYTHON="$(PYTHON)" scripts/setup run

run: .venv/.ready-run ## set up, build the desktop template, serve, and say where
	@$(RUN)desktop-sandbox template build desktop
	@exec $(RUN)desktop-sandbox serve

# make -j2 image builds them side by side
image: $(TEMPLATES:%=image-%) ## build all templates

image-%: setup
	@$(RUN)desktop-sandbox template build $*

test: setup image ## run all tests, on real microVMs
	@$(RUN)pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --reruns $(TEST_RERUNS) --instafail $(PYTEST_ARGS)

check: setup ## lint, types, architecture, generated files, JavaScript; edits nothing
	@scripts/check

fix: setup ## format, and make generated files anew
	@$(RUN)ruff format .
	@$(RUN)ruff check --fix .
	@$(RUN)python -m desktop_sandbox.sdk.generate
	@$(RUN)python -m actions.generate_keysyms

bench: setup image ## measure, side by side with the usual ways
	@$(RUN)desktop-sandbox bench $(BENCH_ARGS)

clean: ## remove the Python environment and caches (images and templates stay: desktop-sandbox template rm)
	@rm -rf .venv viewer/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis test-artifacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
