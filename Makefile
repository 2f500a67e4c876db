# Needs Python 3.11-3.13, make and git; everything else is installed into .venv. `make help` lists the targets.

VENV ?= .venv
# What pip is told to install as torch, before everything else; may hold options such as --index-url.
TORCH_SPEC ?= torch==2.13.0
export TORCH_SPEC PYTHON

BIN := $(VENV)/bin
SPEC_ID := $(shell printf '%s' '$(TORCH_SPEC)' | cksum | cut -d' ' -f1)
INSTALLED := $(VENV)/.installed-$(SPEC_ID)
CHECKERS := $(VENV)/.checkers-$(SPEC_ID)
RECIPE := pyproject.toml setup.py constraints.txt tools/install.sh tools/find-python.sh

# Without a display (and not on a Mac, which always has one) the demo runs headless and leaves its report in out/demo.
HAS_DISPLAY := $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter Darwin,$(shell uname -s)))
DEMO_ARGS ?= $(if $(HAS_DISPLAY),,--headless --seconds 130 --out out/demo)
TEST_ARGS ?=
# Processes that share the tests. What runs in real time stays in one of them: see tests/conftest.py.
TEST_JOBS ?= 2
PYTEST = $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup --no-loadscope-reorder
QUICK = not (realtime or learning or install or sound or soak)
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test quick check system bench soak lab foundation realtime laion clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(INSTALLED): $(RECIPE)
	@sh tools/install.sh $(VENV) test
	@touch $@

$(CHECKERS): $(INSTALLED)
	@sh tools/install.sh $(VENV) test,check
	@touch $@

demo: $(INSTALLED)  ## hear simulated EEG choose music; DEMO_ARGS="--headless --seconds 60 --out out/demo" overrides
	@sh tools/system-packages.sh --demo
	$(BIN)/bci-music demo $(DEMO_ARGS)

test: $(INSTALLED)  ## run all tests but the long forms (as root: installs missing Debian packages first); TEST_ARGS="tests/eeg -x"
	@sh tools/system-packages.sh --quiet
	$(PYTEST) $(TEST_ARGS)

quick: $(INSTALLED)  ## run the tests that neither wait, learn nor install: the inner loop, under two minutes
	$(PYTEST) -m '$(QUICK)' $(TEST_ARGS)

check: $(CHECKERS)  ## lint, types, import contracts and names that nothing reads
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

system:  ## install the Debian packages for sound and window (as root), or name them
	@sh tools/system-packages.sh

bench: $(INSTALLED)  ## measure the live path beside its peers; BENCH_ARGS="--json"
	$(BIN)/bci-music bench live $(BENCH_ARGS)

soak: $(INSTALLED)  ## run the long forms of the tests
	$(BIN)/python -m pytest -m soak $(TEST_ARGS)

lab: $(INSTALLED)  ## simulate a study, pretrain, align, adapt and evaluate: the report lies in out/lab (10 to 20 minutes)
	sh tools/lab.sh $(BIN)/bci-music out/lab

foundation: $(INSTALLED)  ## add braindecode (LaBraM, EEGPT, CBraMod as baselines) and test it
	sh tools/install-foundation.sh $(VENV)
	$(BIN)/python -m pytest tests/evaluation/baselines/test_foundation_models.py

realtime: $(INSTALLED)  ## add the extra for mne-realtime (discontinued by its authors) and test it
	@sh tools/install.sh $(VENV) test,realtime
	$(BIN)/python -m pytest tests/ground/test_extras.py -k realtime

laion: $(RECIPE)  ## make .venv-laion, the environment of its own for laion-clap (numpy < 2), and test it
	@CONSTRAINTS=none sh tools/install.sh .venv-laion test,laion
	.venv-laion/bin/python -m pytest tests/ground/test_extras.py -k laion

clean:  ## remove what was built or written (.venv stays)
	rm -rf build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find bci_music gui tests -name __pycache__ -type d -prune -exec rm -rf {} +
