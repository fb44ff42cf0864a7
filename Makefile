# make demo   the whole flow on an emulated s390x host, printed so that one can follow it
# make test   the checks, as CI runs them; make test-fast and make lint are for daily work
# make help   all targets

SHELL := /bin/bash -euo pipefail
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := build/stamps
PYTHON ?= /usr/bin/python3
COLLECTION := build/collections/ansible_collections/zkvm/vfio_ccw

export PATH := $(BIN):$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export ANSIBLE_HOME := $(CURDIR)/build/ansible
export PYTHONDONTWRITEBYTECODE := 1

EMULATOR_SOURCES := $(shell find emulator -type f \( -name '*.[ch]' -o -name '*.py' -o -name '*.yml' -o -name 'meson.build' -o -name 'pyproject.toml' -o -path '*/guestimage/guest/*' \) -not -path 'emulator/tests/*')
PY_SOURCES := plugins emulator/src emulator/tests tests extensions docs

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

# --- set-up -------------------------------------------------------------------------------------------------------

$(STAMPS):
	@mkdir -p $@

$(STAMPS)/venv: requirements/dev.txt | $(STAMPS)
	@.ci/system-packages
	@echo "Making the virtual environment $(VENV) (half a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements/dev.txt
	@touch $@

$(STAMPS)/emulator: $(STAMPS)/venv $(EMULATOR_SOURCES)
	@echo "Building the emulator"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall ./emulator
	@touch $@

$(STAMPS)/collection: | $(STAMPS)
	@mkdir -p $(dir $(COLLECTION)) && ln -sfn $(CURDIR) $(COLLECTION)
	@touch $@

.PHONY: setup
setup: $(STAMPS)/emulator $(STAMPS)/collection ## virtual environment, Debian packages, the compiled core
	@.ci/system-packages

# the connection conformance tasks are ansible-core's own; its wheel does not carry them, its source does
CORE_VERSION := $(shell sed -n 's/^ansible-core==//p' requirements/dev.txt)
$(STAMPS)/conformance: $(STAMPS)/venv
	@echo "Fetching the connection conformance tasks of ansible-core $(CORE_VERSION)"
	@rm -rf build/ansible-core && mkdir -p build/ansible-core
	@$(BIN)/python -m pip download -qq --disable-pip-version-check --no-deps --no-binary :all: --dest build/ansible-core ansible-core==$(CORE_VERSION)
	@tar -xzf build/ansible-core/ansible_core-$(CORE_VERSION).tar.gz -C build/ansible-core --strip-components=1
	@touch $@

# the oldest ansible-core that the collection takes; the playbooks for AWX run under it in make test
$(STAMPS)/oldest-core: requirements/cores.txt .ci/core | $(STAMPS)
	@.ci/core 2.16
	@touch $@

.PHONY: setup-tests
setup-tests: setup $(STAMPS)/conformance $(STAMPS)/oldest-core
	@.ci/system-packages tests
	@.ci/system-packages real
	@.ci/system-packages libvirt

# --- for users ----------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## a DASD goes from the host into a guest and back, on an emulated s390x host
	@$(BIN)/python extensions/demo/demo.py

.PHONY: guest
guest: setup ## the same with a stock Debian under the real qemu-system-s390x as the guest
	@.ci/system-packages real
	@$(BIN)/python extensions/demo/guest.py

# --- checks -------------------------------------------------------------------------------------------------------

# the long ones early, so that none is left alone at the end
CHECKS := lint integration libvirt molecule-real unit sanity pages molecule docs-site sanitize fidelity browser fuzz-corpus
JOBS ?= 2
SAY = @echo "== $@"

.PHONY: test
test: setup-tests ## the checks, as CI runs them, JOBS (2) at a time; each one's output comes when it is done
	@$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target $(CHECKS)
	@echo "make test: all passed"

.PHONY: test-fast
test-fast: setup-tests lint-python ## for daily work: under a minute (without the tests that start labs or kill writers)
	@$(BIN)/pytest -q tests/unit emulator/tests $(addprefix --ignore=emulator/tests/,test_lab_run.py test_guest_run.py test_migration_run.py test_preload_run.py test_fault_run.py test_real_guest_run.py core/test_core_crash.py core/test_reference_programs.py)

.PHONY: unit
unit: setup-tests ## unit tests of the collection and of the emulator
	$(SAY)
	@$(BIN)/pytest -q tests/unit emulator/tests

.PHONY: fidelity
fidelity: setup-tests ## the emulated host against what a real kernel and the real tools answered
	$(SAY)
	@$(BIN)/pytest -q tests/fidelity

.PHONY: integration
integration: setup-tests ## playbooks against labs, and what the real QEMU says of a saved guest
	$(SAY)
	@$(BIN)/pytest -q -m 'not long' --ignore-glob='*/test_libvirt*.py' tests/integration tests/real/test_migration.py

.PHONY: libvirt
libvirt: setup-tests ## modules, role and playbooks with Debian's libvirt on emulated hosts
	$(SAY)
	@$(BIN)/pytest -q -m 'not long' $(sort $(wildcard tests/integration/test_libvirt*.py))

.PHONY: browser
browser: setup ## the report in a real headless browser
	$(SAY)
	@.ci/system-packages browser
	@$(BIN)/pytest -q tests/browser

.PHONY: molecule
molecule: setup-tests ## the molecule scenario with the quick guest
	$(SAY)
	@$(BIN)/molecule test

.PHONY: molecule-real
molecule-real: setup-tests ## the molecule scenario with a stock Debian under the real QEMU
	$(SAY)
	@$(BIN)/molecule test --scenario-name real_guest

.PHONY: test-real
test-real: setup-tests ## what takes longer with a real QEMU: paths, plugging, both kernels, faults, a guest that starts from the disk (not in make test)
	@$(BIN)/python tests/real/run.py
	@$(BIN)/python tests/real/image.py
	@$(BIN)/pytest -q tests/real/test_libvirt_guest.py
	@$(BIN)/molecule test --scenario-name real_guest_long
	@$(BIN)/pytest -q -m long tests/integration tests/docs

.PHONY: sanity
sanity: setup-tests ## ansible-test sanity
	$(SAY)
	@.ci/ansible-test sanity --python 3.11

.PHONY: package
package: setup-tests ## the tarball in build/package, judged by galaxy-importer and antsibull-docs, installed, and the emulator built from it
	@$(BIN)/pytest -q tests/integration/test_package.py
	@.ci/package

.PHONY: units
units: setup-tests ## the unit tests by ansible-test, and the coverage (make unit runs the same ones, and the emulator's)
	@.ci/ansible-test units --venv --python 3.11 --coverage

.PHONY: matrix
matrix: setup-tests ## each ansible-core of requirements/cores.txt, each Python of a target: CORES=2.16, ONLY=docs,playbooks,units,sanity,awx (half an hour)
	@CORES=$(CORES) ONLY=$(ONLY) $(BIN)/python tests/matrix/run.py

.PHONY: lint
lint: lint-python ## ruff, mypy, yamllint, ansible-lint (production profile), licences (REUSE), changelog fragments
	$(SAY)
	@$(BIN)/yamllint --strict .
	@$(BIN)/ansible-lint --strict
	@$(BIN)/reuse lint --quiet || { $(BIN)/reuse lint --lines; false; }
	@$(BIN)/antsibull-changelog lint
	@$(BIN)/pytest -q tests/unit/test_conventions.py

.PHONY: lint-python
lint-python: setup
	@$(BIN)/ruff check $(PY_SOURCES)
	@$(BIN)/ruff format --check $(PY_SOURCES)
	@$(BIN)/mypy
	@$(BIN)/python docs/generate.py --check

.PHONY: docs
docs: setup docs-site ## write the pages that are made from tables in the code, and the site: build/docs/html/index.html
	@$(BIN)/python docs/generate.py

# the site's tools are in an environment of their own: nothing else needs them
$(STAMPS)/docs-venv: requirements/docs.txt | $(STAMPS)
	@$(PYTHON) -m venv --clear build/docs-venv
	@build/docs-venv/bin/python -m pip install -qq --disable-pip-version-check -r requirements/docs.txt
	@touch $@

.PHONY: docs-site
docs-site: setup $(STAMPS)/docs-venv
	$(SAY)
	@rm -rf build/docs && install -d -m 0700 build/docs/source/collection && cp -R docs/. build/docs/source/ && cp CONTRIBUTING.md build/docs/
	@PATH=$(CURDIR)/build/docs-venv/bin:$$PATH antsibull-docs collection --use-current --fail-on-error --squash-hierarchy --no-breadcrumbs --dest-dir build/docs/source/collection zkvm.vfio_ccw
	@build/docs-venv/bin/sphinx-build -q -W --keep-going -b html build/docs/source build/docs/html
	@echo "The site: build/docs/html/index.html"

.PHONY: pages
pages: setup-tests ## the pages of docs/ do what they say: their commands are run
	$(SAY)
	@$(BIN)/pytest -q -m 'not long' tests/docs

.PHONY: format
format: setup ## let ruff write the code's layout
	@$(BIN)/ruff check --fix $(PY_SOURCES)
	@$(BIN)/ruff format $(PY_SOURCES)

.PHONY: fuzz-corpus
fuzz-corpus: setup ## the core and the mirror over the kept fuzzing corpus, with sanitizers (10 s)
	$(SAY)
	@$(BIN)/python tests/fuzz/run.py corpus

.PHONY: fuzz
fuzz: setup ## fuzz the core and the mirror with libFuzzer and sanitizers: FUZZ_SECONDS (60) for each of FUZZ_TARGETS (all)
	@.ci/system-packages fuzz
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_TARGETS="$(FUZZ_TARGETS)" $(BIN)/python tests/fuzz/run.py fuzz

.PHONY: sanitize
sanitize: setup ## the preloaded library, the core and the mirror under AddressSanitizer and UBSan (a minute)
	$(SAY)
	@$(BIN)/python tests/sanitize/run.py

.PHONY: coverage
coverage: setup-tests ## lines of the core that its tests reach
	@$(BIN)/python tests/coverage/core.py

# --- measuring ----------------------------------------------------------------------------------------------------

.PHONY: bench
bench: setup ## speed against others (Hercules, libfuse, virtio-blk, driverctl ...), into build/bench.json (ONLY=core,sysfs,guest,engine,fleet, ROUNDS, SECONDS, LARGE=1, HOSTS, FORKS)
	@.ci/system-packages bench || echo 'Going on without: the figures say so.' >&2
	@.ci/system-packages real || echo 'Going on without: the figures say so.' >&2
	@ONLY=$(ONLY) LARGE=$(LARGE) $(BIN)/python tests/bench/run.py

.PHONY: requirements
requirements: ## resolve requirements/*.in anew and pin them
	@for list in $(notdir $(basename $(wildcard requirements/*.in))); do \
	  rm -rf build/requirements && $(PYTHON) -m venv build/requirements; \
	  build/requirements/bin/python -m pip install -qq --disable-pip-version-check -r requirements/$$list.in; \
	  { echo "# Made from $$list.in by 'make requirements'. Do not edit."; build/requirements/bin/python -m pip freeze --exclude setuptools; } > requirements/$$list.txt; \
	done

.PHONY: clean
clean: ## remove what was built (labs that run are ended first)
	@[ ! -x $(BIN)/ccwemu ] || $(BIN)/ccwemu down --all || true
	@rm -rf build $(VENV)
