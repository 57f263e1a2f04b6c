# Everything a newcomer types. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help demo test storm check format bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## a living city of payments and a tour of maintenance; SECONDS=30 ends by itself, FAULT=money plants one
	@sh tools/setup.sh demo
	@exec .venv/bin/till demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(FAULT),--fault $(FAULT))

test: ## the whole suite; ARGS="tests/unit -k money" for a part
	@sh tools/setup.sh dev
	@exec .venv/bin/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder $(ARGS)

storm: ## minutes of SIGKILL under load; SEED=7 repeats one, STORM_SECONDS=600 lasts longer
	@sh tools/setup.sh dev
	@STORM_SECONDS=$(or $(STORM_SECONDS),60) $(if $(SEED),TILL_SEED=$(SEED)) exec .venv/bin/pytest -q tests/storm $(ARGS)

check: ## style, types, floors, house rules
	@sh tools/setup.sh dev
	@exec sh tools/check.sh

format: ## let ruff put the code in form
	@sh tools/setup.sh dev
	@.venv/bin/ruff format --quiet . && exec .venv/bin/ruff check --quiet --fix .

bench: ## the four benches, with the yardstick; ARGS="payments" for one
	@sh tools/setup.sh run
	@exec .venv/bin/till bench $(ARGS)

lock: ## the lock files anew from pyproject.toml
	@sh tools/setup.sh dev
	@exec sh tools/lock.sh

clean: ## .venv and caches away; the data under .till stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
