# Everything there is to type. Needs python3 (3.11 or newer), make and git; the rest is fetched into .venv.
# `make run` installs what the bot needs; `make test` and `make check` also what the tests need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes --no-deps
NO_PACKAGES := echo "The packages could not be installed: is this machine online, and is the disk not full? Try again then."; exit 1
ARGS ?=
TESTS ?= tests
# Two for each of two cores: half the time of most tests is waiting, for a model, a browser or a process.
WORKERS ?= 4
SECONDS ?= 60

# A .venv that was made half, or whose Python is gone or another one since the system was upgraded, is made anew.
HAS_PIP := import importlib.util, sys; sys.exit(0 if importlib.util.find_spec("pip") else 3)
$(shell [ ! -d $(VENV) ] || { [ -e $(BIN)/python ] && { $(BIN)/python -c '$(HAS_PIP)'; [ $$? != 3 ]; }; } || rm -rf $(VENV))

.DEFAULT_GOAL := help
.PHONY: help run setup setup-dev chromium pgbouncer test check audit fix bench fuzz chaos golden lock messages clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

run: setup ## set up and start the bot (settings from .env, if there is one)
	@exec $(BIN)/python -m bot run $(ARGS)

setup: $(VENV)/.installed ## what the bot itself needs, into .venv

setup-dev: $(VENV)/.installed-dev ## what the bot and its tests need, into .venv

test: setup-dev chromium pgbouncer ## set up and run every test (TESTS=tests/core for some)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS) $(TESTS) $(ARGS)

check: setup-dev ## format, lint, types, import rules, documents, workflows, known holes in the packages
	@mkdir -p .cache; status=0; \
	$(BIN)/ruff format --check --quiet . || { echo "Run 'make fix' to format."; status=1; }; \
	$(BIN)/ruff check --quiet . || status=1; \
	$(BIN)/mypy || status=1; \
	$(BIN)/lint-imports --no-logo || status=1; \
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -W ignore -m mkdocs build --strict >.cache/docs.log 2>&1 || { grep -v INFO .cache/docs.log; status=1; }; \
	$(BIN)/zizmor --offline --quiet --no-progress .github || status=1; \
	$(BIN)/python -m tests.tools.audit || status=1; \
	exit $$status

audit: setup-dev ## known holes in the locked packages; says so where no advisory service answers
	@$(BIN)/python -m tests.tools.audit

fix: setup-dev ## format, and mend what can be mended by machine
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

bench: setup-dev ## measure against the plain way, on the emulators
	@$(BIN)/python -m benchmarks $(ARGS)

fuzz: setup-dev ## random input against parsers, pictures and signatures (SECONDS=60)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

chaos: setup-dev ## kill, freeze and cut everything for SECONDS on each database, and print what held (SEED=7: again so)
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

golden: setup-dev ## draw the golden files of every message anew (look at the diff)
	@GOLDEN=write $(BIN)/python -m pytest -q -p no:cacheprovider tests/adapters -k "drawn_as_they_were_looked_at"

LOCALE := core/presentation/locale
PO_STYLE := --width 110 --ignore-obsolete --no-fuzzy-matching --ignore-pot-creation-date

messages: setup-dev ## find all sentences, put them into the catalogues, and say what is left to translate
	@$(BIN)/pybabel -q extract --mapping pyproject.toml --keywords "" --keywords tr:1 --keywords translatable:1 --keywords trn:1,2 --no-location \
	  --sort-output --omit-header --width 110 --output $(LOCALE)/messages.pot core adapters bot
	@for po in $(LOCALE)/*.po; do language=$$(basename $$po .po); \
	  $(BIN)/pybabel -q update -l $$language -i $(LOCALE)/messages.pot -o $$po $(PO_STYLE) && \
	  $(BIN)/pybabel compile --statistics -l $$language -i $$po -o /dev/null || exit 1; done

# Universal: one file for every system and every Python from 3.11 on. No address of any index is written.
lock: $(VENV)/bin/python ## pin every package by hash anew
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@cd . && for extra in "" dev; do \
	  out=requirements$${extra:+-$$extra}.lock; \
	  $(BIN)/uv pip compile pyproject.toml --quiet $${extra:+--extra $$extra --extra otel --constraint requirements.lock} \
	    --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file $$out || exit 1; \
	  ! grep -nE '://|--(extra-)?index|--find-links' $$out || { echo "$$out names an index"; exit 1; }; \
	done

clean: ## remove everything that can be made again (not .env, not data)
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "This needs Python 3.11 or newer; '$(PYTHON)' is missing or older. Name another with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); \
	  echo "Python cannot make a virtual environment here. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }

# The stamps hold the lock they were made from, so a changed lock, and only that, installs again.
$(VENV)/.installed: requirements.lock | $(VENV)/bin/python
	@cmp -s requirements.lock $@ || { echo "Installing packages (once) ..."; $(PIP_INSTALL) -r requirements.lock || { $(NO_PACKAGES); }; }
	@cp requirements.lock $@

$(VENV)/.installed-dev: requirements-dev.lock requirements.lock | $(VENV)/bin/python
	@cmp -s requirements-dev.lock $@ || { echo "Installing packages and test tools (once) ..."; \
	  $(PIP_INSTALL) -r requirements-dev.lock || { $(NO_PACKAGES); }; }
	@cp requirements.lock $(VENV)/.installed
	@cp requirements-dev.lock $@

# The page's tests drive a real browser. Playwright's own download is not used: Debian's Chromium is signed and patched.
chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "Installing Chromium for the page's tests (once) ..."; \
	  sudo=$$( [ "$$(id -u)" = 0 ] || echo "sudo -n" ); \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	  || echo "Chromium could not be installed; the page's tests need it: apt-get install chromium"

pgbouncer:
	@test -x /usr/sbin/pgbouncer || { \
	  echo "Installing PgBouncer for a test (once) ..."; \
	  sudo=$$( [ "$$(id -u)" = 0 ] || echo "sudo -n" ); \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null; } \
	  || echo "PgBouncer could not be installed; tests/core/engine/test_pgbouncer.py needs it: apt-get install pgbouncer"
