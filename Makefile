# Everything a developer does here. `make` alone lists it.
PYTHON ?= python3
# Test processes; more than processors, since many tests wait.
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard proto/roomline/v1/*.proto)
STUBS := gen/.built
NEW_STUBS := .cache/gen
INSTALLED := $(VENV)/.installed
# `buf breaking` compares with the newest tag; before the first one there is nothing to compare with.
LAST_TAG = $(shell git describe --tags --abbrev=0 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help install run test lint types format proto breaking check bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(STUBS) ## set up .venv and generate the stubs

run: install ## start everything on SQLite and local files, in development mode
	$(BIN)/roomline up --dev

test: install ## run the everyday test suite
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: install ## check style, imports and the contract
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/lint-imports && $(BIN)/buf lint && $(BIN)/buf format -d --exit-code

types: install ## check types
	$(BIN)/mypy

format: install ## rewrite code and contract in the house style
	$(BIN)/ruff check --fix && $(BIN)/ruff format && $(BIN)/buf format -w

proto: ## generate the stubs anew
	rm -f $(STUBS) && $(MAKE) $(STUBS)

breaking: install ## compare the contract with the last tag
	@if [ -n "$(LAST_TAG)" ]; then $(BIN)/buf breaking --against '.git#tag=$(LAST_TAG)'; else echo "no tag yet: the contract may still move"; fi

check: lint types breaking test ## everything that must pass before a commit

bench: install ## measure, side by side, and print ratios
	$(BIN)/python -m bench $(ARGS)

clean: ## remove what the targets above made, but not your data
	rm -rf $(VENV) gen .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# Made beside the old ones and swapped: whatever runs meanwhile always finds stubs.
$(STUBS): $(PROTOS) $(INSTALLED)
	rm -rf $(NEW_STUBS) && mkdir -p $(NEW_STUBS)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=proto --python_out=$(NEW_STUBS) \
	  --mypy_out=quiet:$(NEW_STUBS) --grpc_python_out=$(NEW_STUBS) --mypy_grpc_out=quiet:$(NEW_STUBS) $(PROTOS)
	cd $(NEW_STUBS) && touch roomline/__init__.py roomline/v1/__init__.py roomline/py.typed $(@F)
	rm -rf $(NEW_STUBS).old && mkdir -p gen && mv gen $(NEW_STUBS).old && mv $(NEW_STUBS) gen
