# filetap: set-up, tests, demo, measurements. `make` alone says what there is.

PYTHON ?= python3
# Two more than CPUs: a test often waits, for a pause of its own or for the kernel to detach tracepoints.
JOBS ?= $(shell expr $$(nproc) + 2)
BIN := .venv/bin
OBJECTS := $(foreach kind,.bpf.o .cast.bpf.o,$(patsubst bpf/%.bpf.c,src/filetap/bpf/%$(kind),$(wildcard bpf/*.bpf.c)))
WORKLOADS := $(patsubst bench/%.c,build/%,$(filter-out %.bpf.c,$(wildcard bench/*.c)))
YARDSTICKS := $(patsubst bench/%.c,build/%.o,$(wildcard bench/*.bpf.c))
C_SOURCES := '*.[ch]'
HEADERS := $(wildcard bpf/*.h bpf/lib/*.h)
PIP_INSTALL := $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check
PIP_COMPILE := build/lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
export PATH := $(PATH):/usr/sbin:/sbin
# Tests start filetap some thousand times: its byte code is kept.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install test check vm vm-all demo bench conformance coverage reference format lock clean packages test-packages vm-packages

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/make \1@\2/' | column -t -s @

install: $(OBJECTS) $(BIN)/filetap ## set everything up; the command is then .venv/bin/filetap
	@echo "ready: $(BIN)/filetap"

# Files in order, tests/unit last: else the files with few tests, the slowest ones, would end the run one by one.
test: check $(WORKLOADS) ## check, then all tests (as root); ARGS="-k NAME" chooses, JOBS=1 runs one at a time
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

vm: $(OBJECTS) $(BIN)/filetap .venv/tested $(WORKLOADS) vm-packages ## kernel tests on Debian's kernels in QEMU; KERNEL=6.1 chooses one
	@$(BIN)/python -m vm $(KERNEL) $(ARGS)

vm-all: ## on all kernels; rewrites docs/kernels.md
	@$(MAKE) vm KERNEL= ARGS="--document docs/kernels.md $(ARGS)"

check: $(OBJECTS) $(BIN)/filetap .venv/tested ## formats, lint, types, import layers
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy --no-error-summary
	$(BIN)/clang-format --dry-run -Werror $$(git ls-files -co --exclude-standard $(C_SOURCES))
	$(BIN)/lint-imports --no-cache --no-logo

demo: install ## trace a real command that reads many files
	@echo "$(BIN)/filetap trace -f table -o build/demo.table --force -- grep -rc task_struct bpf src"
	@mkdir -p build
	@$(BIN)/filetap trace -f table -o build/demo.table --force -- grep -rc task_struct bpf src >build/demo.output 2>build/demo.stats \
		|| { cat build/demo.stats >&2; exit 1; }
	@sed -n '1,8p' build/demo.table
	@echo "... $$(wc -l <build/demo.table) lines in build/demo.table ..."
	@tail -n 20 build/demo.table
	@cat build/demo.stats

bench: $(OBJECTS) $(BIN)/filetap $(WORKLOADS) $(YARDSTICKS) ## measure speed and exactness on this machine
	@$(BIN)/python -m bench $(ARGS)

conformance: $(OBJECTS) $(BIN)/filetap .venv/tested ## the score card of all cases; ARGS="--tracer filetap strace bpftrace"
	@$(BIN)/python -m tests.conformance $(ARGS)

coverage: $(OBJECTS) $(BIN)/filetap .venv/tested ## rewrite docs/coverage.md from all cases and all three tracers
	@$(BIN)/python -m tests.conformance --tracer filetap strace bpftrace --coverage docs/coverage.md

reference: $(OBJECTS) $(BIN)/filetap ## rewrite docs/reference, docs/man and docs/completions from the commands and columns
	@$(BIN)/python docs/generate.py

format: .venv/tested ## format Python and C
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/clang-format -i $$(git ls-files -co --exclude-standard $(C_SOURCES))

lock: ## pin the dependencies of pyproject.toml; ARGS=--upgrade takes the newest
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install -qq --disable-pip-version-check pip-tools==7.6.2
	@wanted() { $(PYTHON) -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); print(*($$1), sep='\n')"; }; \
	wanted "p['project']['dependencies'] + p['build-system']['requires']" | $(PIP_COMPILE) $(ARGS) -o requirements.txt -; \
	wanted "p['dependency-groups']['test']" | $(PIP_COMPILE) $(ARGS) -c requirements.txt -o requirements-test.txt -

clean: ## remove everything that make has made
	rm -rf build dist .venv src/filetap/bpf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests bench -name __pycache__ -prune -exec rm -rf {} +

# System packages: PACKAGE is missing unless TEST succeeds, so that nothing is asked of apt where nothing is missing.
# $(call need,PACKAGE,TEST)
need = { $(2); } >/dev/null 2>&1 || missing+=" $(1)";

# $(call apt,NEEDS)
define apt
@missing=; $(1) \
[ -n "$$missing" ] || exit 0; \
echo "installing system packages:$$missing"; \
mkdir -p build; \
install() { apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $$missing; }; \
export DEBIAN_FRONTEND=noninteractive; \
{ install || { apt-get -o DPkg::Lock::Timeout=300 update && install; }; } >build/apt.log 2>&1 </dev/null || { \
	cat build/apt.log >&2; echo "make: could not install$$missing (as root: apt-get install$$missing)" >&2; exit 1; }
endef

packages:
	$(call apt, \
		$(call need,libbpf1,ldconfig -p | grep -F libbpf.so.1) \
		$(call need,libbpf-dev,[ -e /usr/include/bpf/bpf_core_read.h ]) \
		$(call need,linux-libc-dev,[ -e /usr/include/linux/bpf.h ]) \
		$(call need,python3-venv,[ -x $(BIN)/pip ] || $(PYTHON) -c 'import ensurepip; import venv'))

test-packages:
	$(call apt, \
		$(call need,gcc,command -v gcc) \
		$(call need,libc6-dev,[ -e /usr/include/stdlib.h ]) \
		$(call need,bpftool,command -v bpftool) \
		$(call need,strace,command -v strace) \
		$(call need,bpftrace,command -v bpftrace) \
		$(call need,sqlite3,command -v sqlite3) \
		$(call need,e2fsprogs,command -v mkfs.ext4) \
		$(call need,xfsprogs,command -v mkfs.xfs) \
		$(call need,btrfs-progs,command -v mkfs.btrfs) \
		$(call need,postgresql,ls /usr/lib/postgresql/*/bin/pgbench))

vm-packages:
	$(call apt, \
		$(call need,mmdebstrap,command -v mmdebstrap) \
		$(call need,e2fsprogs,command -v mkfs.ext4) \
		$(call need,kmod,command -v depmod))

.venv/locked: requirements.txt | packages
	@echo "installing Python packages into .venv: requirements.txt"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "filetap needs Python 3.11: make PYTHON=..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(PIP_INSTALL) --require-hashes --only-binary=:all: -r requirements.txt
	@touch $@

.venv/tested: requirements-test.txt .venv/locked | test-packages
	@echo "installing Python packages into .venv: requirements-test.txt"
	@$(PIP_INSTALL) --require-hashes --only-binary=:all: -r requirements-test.txt
	@touch $@

$(BIN)/filetap: pyproject.toml hatch_build.py .venv/locked | $(OBJECTS)
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

src/filetap/bpf/%.bpf.o: bpf/%.bpf.c $(HEADERS) hatch_build.py | .venv/locked
	@echo "compiling $@"
	@$(BIN)/python hatch_build.py $< $@

src/filetap/bpf/%.cast.bpf.o: bpf/%.bpf.c $(HEADERS) hatch_build.py | .venv/locked
	@echo "compiling $@"
	@$(BIN)/python hatch_build.py $< $@

build/%.bpf.o: bench/%.bpf.c $(HEADERS) hatch_build.py | .venv/locked
	@$(BIN)/python hatch_build.py $< $@

build/%: bench/%.c bench/outcome.h | test-packages
	@mkdir -p build
	@gcc -O2 -Wall -Wextra -Werror -pthread -o $@ $<
