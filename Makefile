# Each target sets up what it needs: `make train` in a fresh clone is enough.
#   make train                        trains on synthetic shapes, results in runs/shapes
#   make train CONFIG=configs/coco_mini.py ARGS="--run.steps 100 --run.folder runs/try"
#   make train EXTRAS=test,cuda       on NVIDIA GPUs (tpu: on TPUs)
#   make test ARGS="-k nms"           the tests, or some of them
#   make lint                         style, formatting and types
#   make notebooks                    runs the notebooks and stores their outputs; trains on the shapes first if needed
#   make notebooks ARGS=demo          one of them;  ARGS=--check stores nothing;  MASKRCNN_RUN=RUN uses another model
#   make bench                        the benchmarks, some of them on MASKRCNN_COCO_MINI's images; installs PyTorch
#   make bench ARGS=inference         one of them
#   make parity                       the comparisons with torchvision, on MASKRCNN_COCO_MINI's images; installs PyTorch

CONFIG ?= configs/shapes.py
EXTRAS ?= test
ARGS   ?=

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/installed-$(EXTRAS)
PARITY := .venv-parity
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: train test lint notebooks parity bench

train: $(STAMP)
	$(BIN)/python train.py $(CONFIG) $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# MASKRCNN_RUN names the model; the default is the run of `make train`.
notebooks: $(STAMP),notebooks $(if $(MASKRCNN_RUN),,runs/shapes/detections.png)
	$(BIN)/python notebooks/run.py $(ARGS)

runs/shapes/detections.png: | $(STAMP),notebooks
	$(BIN)/python train.py configs/shapes.py

parity: $(PARITY)/installed
	@test -d "$$MASKRCNN_COCO_MINI" || { echo "MASKRCNN_COCO_MINI = '$$MASKRCNN_COCO_MINI': set it to the folder" \
	  "of the COCO sample"; exit 1; }
	$(PARITY)/bin/python -m pytest --confcutdir=tests/parity tests/parity -n auto --dist loadfile $(ARGS)

BENCHMARKS := inference training roi_align nms pipeline evaluation startup first_step growth

# Without OMP_WAIT_POLICY PyTorch's idle threads spin on the cores that JAX needs. first_step runs in the environment of
# `make train`: TensorBoard's writer imports PyTorch if it is installed.
bench: $(PARITY)/installed $(STAMP)
	@for name in $(filter pipeline first_step,$(or $(ARGS),$(BENCHMARKS))); do test -d "$$MASKRCNN_COCO_MINI" || { \
	  echo "MASKRCNN_COCO_MINI = '$$MASKRCNN_COCO_MINI': $$name needs a folder in COCO's layout"; exit 1; }; done
	for name in $(or $(ARGS),$(BENCHMARKS)); do \
	  case $$name in first_step) python=$(BIN)/python;; *) python=$(PARITY)/bin/python;; esac; \
	  OMP_WAIT_POLICY=passive $$python benchmarks/$$name.py || exit 1; done
	$(PARITY)/bin/python benchmarks/page.py

# Reinstalled only when the dependencies change: the installation is editable.
$(VENV)/installed-%: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed and was not found;" \
	  "install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

# A separate environment for PyTorch, which nothing else needs.
$(PARITY)/installed: pyproject.toml
	$(PYTHON) -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test,parity]"
	@touch $@
