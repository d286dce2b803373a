.DEFAULT_GOAL := help
PY := .venv/bin/python
STAMP := .venv/.stamp
SITE := $(PY) -m sphinx -q -E -W --keep-going -c docs . docs/_build/site

help: ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/ -/'

$(STAMP): requirements/dev.txt pyproject.toml
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

setup: provision $(STAMP) ## system packages (as root on Debian) and the virtual environment, from the locked versions

provision: ## the system packages, when root on Debian; says which
	scripts/provision

demo: setup ## the founding text's example, a sweep and a job in Python: sent in, run in the sandbox, fetched
	$(PY) scripts/demo.py

serve: setup ## the demo's gateway, kept running
	$(PY) scripts/demo.py --keep

test: setup ## every test
	$(PY) -m pytest

check: setup ## format, lint, types, floors, generated pages, the site
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache
	$(PY) scripts/generate_docs.py --check
	$(SITE)

bench: setup ## the numbers of the design, each beside its floor
	$(PY) scripts/bench.py

soak: setup ## the property tests, long
	JOBGATE_SOAK=1 $(PY) -m pytest tests/model

docs: setup ## the pages drawn from the code, written again, and the site: docs/_build/site
	$(PY) scripts/generate_docs.py
	$(SITE)

lock: $(STAMP) ## new locked versions
	.venv/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --upgrade --custom-compile-command "make lock" -o requirements/dev.txt

.PHONY: help setup provision demo serve test check bench soak docs lock
