PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Where it is set, every process that the tests start compiles the package again: 3 seconds in place of 1.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo dev test nights coverage check fast lint format fuzz mutants picture docs clean

help:
	@echo "make demo     three nights of rostering against a simulated SIS, with a report at the end"
	@echo "make dev      the Dagster UI, its daemon, the console and the simulator, on the same database"
	@echo "make test     all tests, on an embedded PostgreSQL"
	@echo "make nights   the random nights for hours, with other data each time (NIGHTS=60: so many histories)"
	@echo "make coverage the tests without processes of their own; fails if they run less of the package than before"
	@echo "make check    lint and the fast tests, under a minute: for every edit"
	@echo "make lint     ruff, mypy and the layers of the packages"
	@echo "make docs     the documentation as a site, in .site/html"
	@echo "make fuzz     10,000 malformed payloads against the OneRoster client"
	@echo "make mutants  small changes of the core that no test notices (hours; MUTANTS=names takes a part)"
	@echo "make picture  draw the pictures of the Dagster UI and the console for the README (needs Chromium)"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(INSTALLED)

demo: $(INSTALLED)
	@$(BIN)/roster demo

dev: $(INSTALLED)
	@$(BIN)/roster dev

# One worker more than there are cores: the long tests wait for a daemon or a browser half of their time.
test: $(INSTALLED)
	$(BIN)/python -m pytest -n $$($(BIN)/python -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')

NIGHTS ?= long
nights: $(INSTALLED)
	ROSTER_PROOF=$(NIGHTS) $(BIN)/python -m pytest roster_pipeline_tests/invariants roster_pipeline_tests/planning/test_random_syncs.py

# Only what runs in the processes of pytest is counted, so tests that start processes, and browsers, add nothing.
coverage: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[coverage]'
	$(BIN)/python -m pytest -m "fast or db" -n $$($(BIN)/python -c 'import os; print(min(4, os.cpu_count() or 1))') --cov --cov-report=term:skip-covered

# For every edit. Lint runs beside the tests: mypy takes one core alone.
check: $(INSTALLED)
	$(MAKE) --no-print-directory --jobs=2 lint fast

fast: $(INSTALLED)
	$(BIN)/python -m pytest -m fast -n $$($(BIN)/python -c 'import os; print(min(4, os.cpu_count() or 1))')

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(INSTALLED)
	$(BIN)/python -m roster_pipeline_tests.oneroster.fuzz 10000

mutants: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutants]'
	nice $(BIN)/mutmut run --max-children 2 $(foreach name,$(MUTANTS),"$(name)")
	$(BIN)/mutmut results

picture: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	$(BIN)/python docs/picture.py

# Pages outside docs/ move beside the others, so their links lose the folder.
docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	rm -rf .site && mkdir -p .site && cp -r docs .site/docs
	for page in README:index SECURITY:SECURITY CONTRIBUTING:CONTRIBUTING benchmarks/README:benchmarks; do \
	    sed 's#(docs/#(#g; s#(benchmarks/README.md#(benchmarks.md#g' $${page%:*}.md > .site/docs/$${page#*:}.md; \
	done
	sed -i 's#(\.\./README.md#(index.md#g; s#(\.\./\([A-Z]*.md\)#(\1#g' .site/docs/*.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "Open .site/html/index.html"

clean:
	rm -rf .roster .site .pytest_cache .mypy_cache .ruff_cache mutants
