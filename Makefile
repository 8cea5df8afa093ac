# make help lists what there is. Everything a step needs is installed by the step itself, once.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?=
RUN := .venv/bin/
TEMPLATES ?= minimal desktop

.PHONY: help setup run image test check fix bench clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## install Debian packages and the Python environment (once)

.venv/.ready: pyproject.toml guest_image/requirements.txt scripts/setup scripts/debian-packages
	@PYTHON="$(PYTHON)" scripts/setup

run: setup ## set up, build the desktop template, serve, and say where
	@$(RUN)desktop-sandbox template build desktop
	@exec $(RUN)desktop-sandbox serve

image: setup ## build all templates
	@for name in $(TEMPLATES); do $(RUN)desktop-sandbox template build $$name || exit 1; done

test: setup image ## run all tests, on real microVMs
	@$(RUN)pytest $(PYTEST_ARGS)

check: setup ## lint, types, architecture, generated files; edits nothing
	@scripts/check

fix: setup ## format, and make generated files anew
	@$(RUN)ruff format .
	@$(RUN)ruff check --fix .
	@$(RUN)python -m desktop_sandbox.sdk.generate
	@$(RUN)python -m actions.generate_keysyms

bench: setup image ## measure, side by side with the usual ways
	@$(RUN)desktop-sandbox bench $(BENCH_ARGS)

clean: ## remove the Python environment and caches (images and templates stay: desktop-sandbox template rm)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis test-artifacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
