# PYTHON=python3.13 make test   picks another interpreter, with an environment of its own.
PYTHON ?= python3
VENV := .venv/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
BIN := $(VENV)/bin
PEERS := $(dir $(VENV))peers-$(notdir $(VENV))
DATA := $(dir $(VENV))data-$(notdir $(VENV))

.PHONY: train test test-peers test-data bench evidence lint format readme docs gallery notebooks clean

train: $(VENV)/train  ## train a spiking network on handwritten digits
	$(BIN)/python -m benchmarks.digits

test: $(VENV)/test  ## run every test
	$(BIN)/python -m pytest -n 2

test-peers: $(PEERS)/peers  ## plug surrogates into the other libraries, each in the newest version that installs here
	$(PEERS)/bin/python -m pytest -n 2 -m peers tests/peers tests/test_equivalents_peers.py

test-data: $(DATA)/data  ## read Japanese vowels, SHD and N-MNIST: by libraries that bring many others, in an environment apart
	$(DATA)/bin/python -m pytest -m peers tests/test_events.py tests/test_studies_data.py

bench: $(VENV)/test  ## measure every claim about speed, the peers' included, and write the README's numbers
	$(BIN)/python -m benchmarks.speed --out benchmarks/results/speed
	$(BIN)/python -m benchmarks.readme

evidence: $(VENV)/test  ## write docs/evidence.md, its pictures and the README's table from benchmarks/results
	$(BIN)/python -m benchmarks.evidence
	$(BIN)/python -m benchmarks.readme

test-floor: .venv/floor/floor  ## run every test on the oldest versions that pyproject.toml allows
	.venv/floor/bin/python -m pytest -n 2 -W ignore::DeprecationWarning  # of old libraries about their newer neighbours

.venv/floor/floor: pyproject.toml tests/floor.py
	$(PYTHON) -m venv .venv/floor
	$(PYTHON) tests/floor.py > .venv/floor/constraints.txt
	.venv/floor/bin/pip install --quiet --editable '.[test]' --constraint .venv/floor/constraints.txt
	touch $@

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(VENV)/test  ## write the README's numbers from benchmarks/results
	$(BIN)/python -m benchmarks.readme

docs: $(VENV)/docs  ## build the documentation into site/; a bad link or a public name on no page is an error
	$(BIN)/python -m docs.elsewhere
	$(BIN)/python -m docs.reference
	$(BIN)/sphinx-build --quiet --fresh-env --nitpicky --fail-on-warning --keep-going -c docs . site

notebooks: $(VENV)/test  ## run the notebooks in place and keep what they show
	$(BIN)/python -m notebooks.run

gallery: $(VENV)/test  ## draw the whole family into docs/pictures
	$(BIN)/python -m docs.gallery

clean:
	rm -rf .venv runs dist site docs/surrogates jupyter_execute

$(VENV)/train: EXTRAS := flax,train
$(VENV)/test: EXTRAS := test
$(VENV)/docs: EXTRAS := docs
$(DATA)/data: EXTRAS := test,vowels,events
$(PEERS)/peers: EXTRAS := test,peers

$(VENV)/train $(VENV)/test $(VENV)/docs $(DATA)/data $(PEERS)/peers: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@
