# PYTHON=python3.13 make test   picks another interpreter, with an environment of its own.
PYTHON ?= python3
# WORKERS=2 make test           uses two processes instead of one for each core, up to eight.
WORKERS ?= logical --maxprocesses 8
# ARGS='-k LIF' make test       passes arguments to pytest.
VENV := .venv/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
BIN := $(VENV)/bin
PEERS := $(dir $(VENV))peers-$(notdir $(VENV))
FLOOR := $(dir $(VENV))floor-$(notdir $(VENV))
BUILD := $(dir $(VENV))build-$(notdir $(VENV))
PYTEST := -m pytest -n $(WORKERS) --dist worksteal
QUICK := not slow and not exhaustive and not peers
# For test-older: AVX, of 2011, has no fused multiply-add, and shorter vectors than any instruction set after it.
OLDER := $(if $(filter x86_64,$(shell uname -m)),--xla_cpu_max_isa=AVX)

.PHONY: help train test test-all lint docs bench evidence release format clean
.PHONY: test-slow test-exhaustive test-older test-floor test-peers test-accelerators test-package test-extras soak dist

help:  ## print this
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

train: $(VENV)/train  ## train two spiking networks and a ReLU network on handwritten digits, from one seed
	$(BIN)/python -m benchmarks.digits --seeds 1

test: $(VENV)/test  ## test the package, its laws and what its docs show: four to five minutes on two cores
	$(BIN)/python $(PYTEST) -m "$(QUICK)" $(ARGS)

test-all: test test-slow  ## test that, and what takes longer: training, processes, notebooks and studies

lint: $(VENV)/test  ## check style, layout and types; .pre-commit-config.yaml runs the same
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/docs  ## build the documentation into site/; a bad link or a public name on no page is an error
	$(BIN)/python -m tools.surrogate_pages
	$(BIN)/python -m tools.site_pictures
	$(BIN)/sphinx-build --quiet --fresh-env --nitpicky --fail-on-warning --keep-going -c docs . site
	$(BIN)/python -m tools.check_site site

bench: $(VENV)/test  ## measure every claim about speed, other libraries included, and write the README's numbers
	$(BIN)/python -m benchmarks.speed --out benchmarks/results/speed
	$(BIN)/python -m benchmarks.pages

evidence: $(VENV)/test  ## write every committed page, table and picture that is made from results or names
	$(BIN)/python -m benchmarks.pages
	$(BIN)/python -m tools.surrogate_pictures
	$(BIN)/python -m tools.coming_from_elsewhere

release: test-all test-exhaustive test-older test-floor test-peers test-accelerators soak test-package test-extras  ## all tests, then dist/

format: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .pytest_cache runs dist site docs/drawn docs/surrogates jupyter_execute

# The steps of `make release`.

test-slow: $(VENV)/test
	$(BIN)/python $(PYTEST) -m "slow and not exhaustive and not peers" tests

test-exhaustive: $(VENV)/test  # every combination of settings of which the other tests try some
	$(BIN)/python $(PYTEST) -m "exhaustive and not peers" tests

test-older: $(VENV)/test  # the numbers under an older instruction set than the machine's own
ifdef OLDER
	XLA_FLAGS="$$XLA_FLAGS $(OLDER)" $(BIN)/python $(PYTEST) -m "numbers and $(QUICK)" tests
else
	@echo "test-older: jax has no older instruction set for $(shell uname -m)"
endif

test-floor: $(FLOOR)/floor  # test-all on the oldest versions that pyproject.toml allows; types are those of new ones
	XLA_FLAGS="$$XLA_FLAGS --xla_cpu_use_fusion_emitters=true" \
	    $(FLOOR)/bin/python $(PYTEST) -m "not exhaustive and not peers" --ignore tests/project/test_contributing.py \
	    -W ignore::DeprecationWarning  # of old libraries about their newer neighbours

test-peers: $(PEERS)/peers  # the other libraries, each in the newest version that installs here
	$(PEERS)/bin/python $(PYTEST) -m peers tests/peers tests/values tests/neurons tests/nir

test-accelerators: $(VENV)/test  # bounds on programs for a GPU and a TPU, by XLA's compilers for these, a gigabyte
	$(BIN)/python -m pytest -m peers tests/laboratory

soak: $(VENV)/test  # train, save, resume and change everything for half an hour: what grows, what compiles anew
	$(BIN)/python -m benchmarks.robustness.soak

test-package: dist  # the sdist has what git tracks, and the checkout makes the same wheel as the sdist
	$(BUILD)/bin/twine check --strict dist/*
	$(BUILD)/bin/check-sdist
	$(BUILD)/bin/python -m build --wheel --outdir dist/checkout
	cmp dist/*.whl dist/checkout/*.whl

test-extras: dist  # the wheel installed alone and with each extra
	$(BUILD)/bin/python tools/extras.py dist/*.whl

dist: $(BUILD)/build  # the sdist, and from it the wheel
	rm -rf dist
	$(BUILD)/bin/python -m build

# The environments.

$(BUILD)/build:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet 'build>=1.2' 'check-sdist>=1.0' 'twine>=6.1'
	touch $@

$(FLOOR)/floor: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet uv
	$(@D)/bin/uv pip install --quiet --python $(@D)/bin/python --resolution lowest-direct --editable '.[test]'
	touch $@

$(VENV)/train: EXTRAS := flax,train
$(VENV)/test: EXTRAS := test
$(VENV)/docs: EXTRAS := docs
$(PEERS)/peers: EXTRAS := test,peers

$(VENV)/train $(VENV)/test $(VENV)/docs $(PEERS)/peers: pyproject.toml
	@echo "installing brainsurr[$(EXTRAS)] into $(@D), which takes a minute or two"
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@
