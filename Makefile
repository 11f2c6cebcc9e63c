.DEFAULT_GOAL := help
.PHONY: help demo test quick lint format install clean

# uv, or, where there is none, one that scripts/get-uv fetches into .venv-uv.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .venv-uv/bin/uv)
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.venv-uv/bin:$(PATH)

# How many tests run at once.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: install ## Make the flight-delay project in demo/, and run it from end to end
	@scripts/get-libgomp
	@scripts/demo

test: lint ## Check and test everything, whole generated projects too
	@scripts/get-libgomp
	pytest --numprocesses $(JOBS) --durations 15

quick: install ## The tests that take a minute
	pytest --numprocesses $(JOBS) -m "not slow and not suite"

lint: install ## Check style, format and types
	ruff check
	ruff format --check
	mypy

format: install ## Format the code
	ruff format
	ruff check --fix

install: $(filter .venv-uv/bin/uv,$(UV)) ## Install the command, and what its tests need, into .venv
	@$(UV) sync --quiet

.venv-uv/bin/uv:
	@scripts/get-uv

clean: ## Remove what the tools leave behind (demo/ stays)
	rm -rf .venv .venv-uv .mypy_cache .ruff_cache .pytest_cache .coverage htmlcov build dist
	find src tests benchmarks template '(' -name __pycache__ -o -name '.*_cache' ')' -prune -exec rm -rf {} +
