# PYTHON=python3.13 make test   picks another interpreter, with an environment of its own.
PYTHON ?= python3
# TESTED=wheel make test        runs the tests on the built wheel, as CI does, and not on the checkout.
TESTED ?= checkout
# WORKERS=2 make test           uses two processes instead of one for each core, up to eight.
WORKERS ?= logical --maxprocesses 8
# MACHINE=older make test       compiles as for a processor of 2011, if this one is x86-64: AVX has no fused multiply-add,
# and shorter vectors than any instruction set after it.
MACHINE ?= this
VENV := .venv/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
BIN := $(VENV)/bin
PEERS := $(dir $(VENV))peers-$(notdir $(VENV))
DATA := $(dir $(VENV))data-$(notdir $(VENV))
FLOOR := $(dir $(VENV))floor-$(notdir $(VENV))
WHEEL := $(dir $(VENV))wheel-$(notdir $(VENV))
PYTEST := -m pytest -n $(WORKERS) --dist worksteal
QUICK := not slow and not exhaustive and not peers
TESTED_IN := $(if $(filter wheel,$(TESTED)),$(WHEEL)/sdist,.)
OLDER := $(if $(filter x86_64,$(shell uname -m)),--xla_cpu_max_isa=AVX)
TESTED_BY = $(if $(filter older,$(MACHINE)),XLA_FLAGS="$$XLA_FLAGS $(OLDER)") \
    $(if $(filter wheel,$(TESTED)),../bin/python,$(BIN)/python)
LINT := $(if $(filter wheel,$(TESTED)),$(WHEEL)/bin,$(BIN))
PACKAGE := $(if $(filter wheel,$(TESTED)),--pyargs) brainsurr
BUILD := $(dir $(VENV))build-$(notdir $(VENV))

.PHONY: train test test-all test-slow test-exhaustive test-older tested-checkout tested-wheel test-package test-floor test-peers test-data
.PHONY: dist bench evidence soak lint format docs gallery notebooks clean

train: $(VENV)/train  ## train two spiking networks and a ReLU network on handwritten digits, from one seed
	$(BIN)/python -m benchmarks.digits --seeds 1

test: tested-$(TESTED)  ## test the package, its laws and what its docs show: four minutes on two cores
	cd $(TESTED_IN) && $(TESTED_BY) $(PYTEST) -m "$(QUICK)" ./tests $(PACKAGE)

test-all: test test-slow  ## run `make test`, then `make test-slow`

test-slow: tested-$(TESTED)  ## run what takes longer: training, processes, notebooks and studies
	cd $(TESTED_IN) && $(TESTED_BY) $(PYTEST) -m "slow and not exhaustive and not peers" ./tests

test-exhaustive: tested-$(TESTED)  ## try every combination of settings of which the other tests try some: before a release
	cd $(TESTED_IN) && $(TESTED_BY) $(PYTEST) -m "exhaustive and not peers" ./tests

test-older: MACHINE := older
test-older: tested-$(TESTED)  ## test the numbers under an older instruction set than the machine's own
ifdef OLDER
	cd $(TESTED_IN) && $(TESTED_BY) $(PYTEST) -m "numbers and $(QUICK)" ./tests
else
	@echo "test-older: jax has no older instruction set for $(shell uname -m)"
endif

tested-checkout: $(VENV)/test

tested-wheel: dist  # from the sdist, in a fresh environment that has no checkout
	$(PYTHON) -m venv --clear $(WHEEL)
	$(WHEEL)/bin/pip install --quiet "$$(echo dist/*.whl)[test]"
	mkdir $(WHEEL)/sdist
	tar -xzf dist/*.tar.gz --strip-components 1 -C $(WHEEL)/sdist
	rm -r $(WHEEL)/sdist/brainsurr

test-package: dist  ## check the sdist and the wheel, and install the wheel alone and with each extra
	$(BUILD)/bin/python -m build --wheel --outdir dist/checkout
	$(BUILD)/bin/python tools/package.py dist dist/checkout
	$(BUILD)/bin/python tools/extras.py dist/*.whl

dist: $(BUILD)/build  ## build the sdist, and from it the wheel
	rm -rf dist
	$(BUILD)/bin/python -m build

$(BUILD)/build:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet 'build>=1.2'
	touch $@

test-peers: $(PEERS)/peers  ## test surrogates in the other libraries, each in the newest version that installs here
	$(PEERS)/bin/python $(PYTEST) -m peers tests/peers tests/test_equivalents_peers.py tests/test_ports_peers.py tests/test_nir_peers.py

test-data: $(DATA)/data  ## read Japanese vowels in a separate environment: their reader has many dependencies
	$(DATA)/bin/python -m pytest -m peers tests/test_studies_data.py

bench: $(VENV)/test  ## measure every claim about speed, other libraries included, and write the README's numbers
	$(BIN)/python -m benchmarks.speed --out benchmarks/results/speed
	$(BIN)/python -m benchmarks.pages

evidence: $(VENV)/test  ## write every page and table that is made from benchmarks/results, the README's too
	$(BIN)/python -m benchmarks.pages

soak: $(VENV)/test  ## train, save, resume and change everything for half an hour; check for leaks and recompilation
	$(BIN)/python -m benchmarks.robustness.soak

test-floor: $(FLOOR)/floor  ## run every test on the oldest versions that pyproject.toml allows
	XLA_FLAGS="$$XLA_FLAGS --xla_cpu_use_fusion_emitters=true" \
	    $(FLOOR)/bin/python $(PYTEST) -W ignore::DeprecationWarning  # of old libraries about their newer neighbours

$(FLOOR)/floor: pyproject.toml tools/floor.py
	$(PYTHON) -m venv $(@D)
	$(PYTHON) tools/floor.py > $(@D)/constraints.txt
	$(@D)/bin/pip install --quiet --editable '.[test]' --constraint $(@D)/constraints.txt
	touch $@

lint: tested-$(TESTED)  ## check style, layout and types; .pre-commit-config.yaml runs the same
	$(LINT)/ruff check .
	$(LINT)/ruff format --check .
	$(LINT)/mypy

format: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/docs  ## build the documentation into site/; a bad link or a public name on no page is an error
	$(BIN)/python -m docs.elsewhere
	$(BIN)/python -m docs.reference
	$(BIN)/sphinx-build --quiet --fresh-env --nitpicky --fail-on-warning --keep-going -c docs . site
	$(BIN)/python -m docs.reader site

notebooks: $(VENV)/test  ## run the notebooks in place and keep their outputs
	$(BIN)/python -m notebooks.run

gallery: $(VENV)/test  ## draw every surrogate into docs/pictures
	$(BIN)/python -m docs.gallery

clean:
	rm -rf .venv .pytest_cache runs dist site docs/surrogates jupyter_execute

$(VENV)/train: EXTRAS := flax,train
$(VENV)/test: EXTRAS := test
$(VENV)/docs: EXTRAS := docs
$(DATA)/data: EXTRAS := test,vowels
$(PEERS)/peers: EXTRAS := test,peers

$(VENV)/train $(VENV)/test $(VENV)/docs $(DATA)/data $(PEERS)/peers: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@
