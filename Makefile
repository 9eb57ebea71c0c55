# make help lists the commands. Everything lives in .venv and build; VENV=, PYTHON= and JOBS= change where and how.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BUILD ?= build/Release
SANITIZER ?= address,undefined
SOURCES = find core tests -name '*.h' -o -name '*.cpp'
CONFORMANCE ?= ../shared/conformance
BENCH ?= ../shared/bench
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -q
export PATH := $(abspath $(VENV))/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help build demo test sanitize lint format bench conformance docs wheel clean

help: ## List the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(VENV)/installed: pyproject.toml .ci/requirements.py
	@test -x $(PY) || { $(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and "Flambeau needs Python 3.10 or \
	newer; this is %d.%d. hint: make PYTHON=python3.12, or wherever a newer one is" % v[:2])' && \
	  echo "creating $(VENV)" && $(PYTHON) -m venv $(VENV); }
	@echo "installing what the build, the tests and the demo need"
	@$(PY) .ci/requirements.py run build test demo | sort -u > $(VENV)/requirements.txt
	@$(PIP) install -r $(VENV)/requirements.txt
	@root="$(CURDIR)" && site=$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  echo "$$root" > "$$site/flambeau-checkout.pth"
	@printf '#!%s\nfrom flambeau.__main__ import main\n\nraise SystemExit(main())\n' "$(abspath $(PY))" > $(VENV)/bin/flambeau
	@chmod +x $(VENV)/bin/flambeau
	@touch $@

$(BUILD)/build.ninja: CMakeLists.txt $(VENV)/installed
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release -DFLAMBEAU_INPLACE=ON -DFLAMBEAU_TESTS=ON \
	  -DPython_EXECUTABLE=$(abspath $(PY)) $(CMAKE_ARGS) > $(VENV)/configure.log || { cat $(VENV)/configure.log; exit 1; }
	@touch $@

build: $(BUILD)/build.ninja ## Build the core and make the checkout importable in .venv; only what changed is compiled
	@cmake --build $(BUILD) -j $(JOBS)

demo: build ## Train the digit classifier; pictures and the model go to runs/demo
	@$(VENV)/bin/flambeau demo

test: build ## Run the test suite (ARGS= for pytest: then only that)
ifeq ($(ARGS),)
	@cmake --build $(BUILD) -j $(JOBS) --target core_tests
	@$(BUILD)/core_tests
endif
	@$(PY) -m pytest $(ARGS)

sanitize: $(VENV)/installed ## Build with SANITIZER=address,undefined (or thread) into build/ and run both suites (ARGS= for pytest)
	@PYTHON=$(abspath $(PY)) JOBS=$(JOBS) .ci/sanitize $(SANITIZER) $(ARGS)

$(VENV)/lint: $(VENV)/installed
	@$(PY) .ci/requirements.py lint > $(VENV)/lint.txt && $(PIP) install -r $(VENV)/lint.txt && touch $@

lint: $(VENV)/lint ## Check style and types
	@$(PY) -m ruff check .
	@$(PY) -m mypy flambeau rows generate
	@$(SOURCES) | xargs $(VENV)/bin/clang-format --dry-run -Werror

format: $(VENV)/lint ## Mend what the style checkers can mend
	@$(PY) -m ruff check --fix -q . || true
	@$(SOURCES) | xargs $(VENV)/bin/clang-format -i

$(VENV)/conformance: $(VENV)/installed
	@echo "installing PyTorch, which results are compared with"
	@$(PY) .ci/requirements.py conformance > $(VENV)/conformance.txt && $(PIP) install -r $(VENV)/conformance.txt && touch $@

conformance: build $(VENV)/conformance ## Compare results with PyTorch's; fails under the floor in .ci/conformance.floor
	@sed -e 's/#.*//' -e '/^ *$$/d' .ci/conformance.floor | while read -r tool floor; do \
	  echo "== $$tool: at least $$floor"; \
	  $(PY) $(CONFORMANCE)/$$tool.py --jobs $(JOBS) --min $$floor || exit 1; done

bench: build $(VENV)/conformance ## Measure against PyTorch, turn and turn about (ARGS= for the tool)
	@$(PY) $(BENCH)/run.py --subject-python $(PY) --peer-python $(PY) $(ARGS)

docs: build ## Write the page of operators into docs/operators.md
	@cp $(BUILD)/generated/docs/operators.md docs/operators.md && echo "docs/operators.md"

wheel: build ## Build the wheel into dist
	@SKBUILD_BUILD_DIR=$(BUILD) $(PIP) wheel . --no-build-isolation --no-deps -w dist && ls dist/*.whl

clean: ## Remove everything that was built
	@rm -rf build dist $(VENV) flambeau/_C*.so
