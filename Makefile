# `make help` lists what there is. Nothing to install by hand beyond Python 3.11 or newer and make.

# .venv holds the base install, without PyTorch, as what a user installs is tested; .venv-app that and the extra
# `follow-up`, which the application is better with; .venv-dev everything, for tests and training. An environment each, so
# that none hides another's lacks.
BASE := .venv
APP := .venv-app
DEV := .venv-dev
DEV_BIN := $(DEV)/bin
ARGS ?=
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help run app base dev test check pytest format docs translations bench clean distclean

help:  ## Show this list.
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

run: app  ## Set up, then serve the web page on this machine only (ARGS="--port 8001" for options).
	$(APP)/bin/dermaloop serve $(ARGS)

app:  ## Set up the environment of the application (.venv-app: the base install with [follow-up]).
	@tools/environment.sh $(APP) follow-up

base:  ## Set up the base environment (.venv, without PyTorch).
	@tools/environment.sh $(BASE)

dev:  ## Set up the environment for tests and training (.venv-dev, with PyTorch).
	@tools/environment.sh $(DEV) dev

# Both halves run even where the first one fails, so that one run shows all there is to mend; pytest comes last.
test: base dev  ## Set up, then check and run every test, with coverage.
	@checked=0; tested=0; \
	$(MAKE) --no-print-directory check || checked=$$?; \
	$(DEV_BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term:skip-covered --durations=25 $(ARGS) || tested=$$?; \
	if [ $$checked -ne 0 ]; then echo "make check failed: see above, before the tests" >&2; exit $$checked; fi; \
	exit $$tested

check: dev  ## Lint, formatting, types and the rules between layers.
	@status=0; for tool in "ruff check ." "ruff format --check ." mypy lint-imports; do \
		echo "$$tool"; $(DEV_BIN)/$$tool || status=1; \
	done; exit $$status

pytest: dev  ## Run the tests (ARGS="tests/core -k manifest" for some of them).
	$(DEV_BIN)/python -m pytest $(ARGS)

format: dev  ## Format the code and apply the linter's safe corrections.
	$(DEV_BIN)/ruff check --fix .
	$(DEV_BIN)/ruff format .

docs: dev  ## Write the parts of the documentation that are made from the code.
	$(DEV_BIN)/python tools/document.py

translations: dev  ## Bring the catalogues of translations up to date with the pages, and say what is missing.
	$(DEV_BIN)/python tools/translations.py $(ARGS)

bench: dev  ## Measure speed: classifying, training, serving (a quarter of an hour; ARGS="--pictures DATA_FOLDER/ham10000").
	$(DEV_BIN)/python benchmarks/speed.py $(ARGS)

clean:  ## Remove caches and build products, keep the environments.
	rm -rf build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks studies -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove the environments too.
	rm -rf $(BASE) $(APP) $(DEV)
