# Everything that is done with this repository. `make` alone says what there is.

# The toolchain of every check and of the charms that are packed. Another one can be tried: RUSTUP_TOOLCHAIN=nightly make test
RUST_VERSION := 1.95.0
ifneq ($(shell command -v rustup),)
export RUSTUP_TOOLCHAIN ?= $(RUST_VERSION)
endif

CARGO_FLAGS := --workspace --locked
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Whoever runs this in the background, or with nohup, leaves signals ignored, and the services of tests would inherit that.
CARGO_TEST := env --default-signal cargo test
# Tests wait for processes and servers more than they compute.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))
LINT_TOOLS = $$(tests/tools/venv lint)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(MAKEFILE_LIST))

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target about; do printf 'make %-12s %s\n' "$$target" "$$about"; done

demo: pebble $(if $(filter real,$(LOKI)),loki) ## an alert on its way from a machine with Falco, through both charms, to Loki; LOKI=real, PROMETHEUS=real, KEEP=1
	@cargo build --locked --package charm-tests --bin demo --bin hook-command --bin '*-dispatch' --bin '*-stand-in'
	@$(if $(filter real,$(PROMETHEUS)),PROMETHEUS_ROOT=$$(tests/tools/debian prometheus)) cargo run --quiet --locked --package charm-tests --bin demo

test: pebble ## every test that needs neither the network nor Juju; as root also test-machine
	$(CARGO_TEST) $(CARGO_FLAGS)
	@if [[ $$EUID == 0 ]]; then $(MAKE) --no-print-directory test-machine; else echo 'test: this is not root: make test-machine was NOT run'; fi

soak: ## longer lives of falco among failures than in make test; LIVES=50 HOOKS=200 SEED=7, where a life that fails tells its seed
	LIVES=$(or $(LIVES),50) HOOKS=$(or $(HOOKS),200) SEED=$(or $(SEED),$$RANDOM) \
		$(CARGO_TEST) --locked --package charm-tests --test falco a_thousand_mixed_hooks

test-machine: ## as root: the played systemctl and the charm beside a real systemd, repositories on a real sshd; FALCO_TARBALL=PATH
	@test -x /usr/sbin/sshd || { echo 'test-machine: installing openssh-server and git'; apt-get update --quiet; apt-get install --yes --quiet openssh-server git; }
	@[[ -n "$(FALCO_TARBALL)" ]] || echo 'test-machine: no FALCO_TARBALL: what only the official Falco can show is NOT run'
	$(CARGO_TEST) --locked --package charm-tests --test machine -- --include-ignored --test-threads=4 $(if $(FALCO_TARBALL),,--skip the_official_falco_)
	$(CARGO_TEST) --locked --package charm-tests --test model -- --ignored
	$(CARGO_TEST) --locked --package charm-tests --bin bench -- --ignored

systems: pebble loki ## build the real systems that test-systems needs, once; about 15 minutes
	@for tool in etcd kube-apiserver alertmanager; do tests/tools/build $$tool >/dev/null; done

test-vectors: pebble ## our charms in the place of the Python charms; VECTORS=FOLDER takes the recordings of another folder
	VECTORS=$(abspath $(VECTORS)) $(CARGO_TEST) --locked --package charm-tests --test vectors -- --nocapture

test-alerts: loki ## the alert rules of the charms, judged and tried by Prometheus, its promtool, and Loki
	PROMTOOL=$$(tests/tools/promtool) $(CARGO_TEST) --locked --package charm-tests --test alerts -- --include-ignored

test-systems: systems ## alerts at the real Loki, Alertmanager, rsyslog and Prometheus, and the charm at the API of Kubernetes; FALCOSIDEKICK=PATH: the real sender
	prometheus=$$(tests/tools/debian prometheus); rsyslog=$$(tests/tools/debian rsyslog libestr0 libfastjson4); set -x; \
		PROMETHEUS_ROOT=$$prometheus RSYSLOG_ROOT=$$rsyslog \
		$(CARGO_TEST) --locked --package charm-tests --test systems -- --include-ignored --show-output

interop: pebble ## our side beside the other side's own Python libraries: ops, ops-scenario, cosl, charmlibs, pydantic
	@ops3=$$(tests/tools/venv interop); ops2=$$(tests/tools/venv interop-ops2); set -x; \
		INTEROP_PYTHON=$$ops3/python INTEROP_PYTHON_OPS2=$$ops2/python \
		$(CARGO_TEST) --locked --package charm-tests --test interop -- --include-ignored

check: fmt-check lint doc deny golden-fresh ## everything else that has to be right before a change is merged

fmt: ## format the Rust code
	cargo fmt --all

fmt-check:
	cargo fmt --all --check

lint: ## Rust, shell, the workflow, and spelling
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	git grep --untracked -lI '^#!/usr/bin/env bash$$' | xargs $(LINT_TOOLS)/shellcheck
	$(LINT_TOOLS)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*
	$(LINT_TOOLS)/zizmor --offline --quiet .github/workflows
	$(LINT_TOOLS)/typos

doc: ## the documentation, which may not have a dead link
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps --document-private-items

deny: ## licences, sources and bans of the crates we use; the advisories when their database can be had
	$(LINT_TOOLS)/cargo-deny check licenses bans sources
	@if timeout 120 $(LINT_TOOLS)/cargo-deny fetch db; then \
		$(LINT_TOOLS)/cargo-deny check --disable-fetch advisories; \
	else \
		echo 'deny: the advisory database cannot be reached: advisories are NOT checked'; \
		[[ "$${ADVISORIES:-}" != required ]]; \
	fi

conformance: ## the stand-ins beside the recordings; FALCO_TARBALL=PATH, FALCOSIDEKICK=PATH: the real programs
	$(CARGO_TEST) --locked --package charm-tests --test conformance -- --nocapture

bench: pebble ## what one dispatch of each charm costs, beside an empty process, and with 1000 Falcos; RUNS=100
	cargo build --locked --release --package falco-charm
	cargo build --locked --release --package falcosidekick-charm
	cargo build $(CARGO_FLAGS)
	@FALCO_DISPATCH=$(TARGET)/release/falco-charm FALCOSIDEKICK_DISPATCH=$(TARGET)/release/falcosidekick-charm \
		$(TARGET)/debug/bench $(RUNS)

golden: pebble ## write tests/golden and docs/outputs.md anew, from what the charms write now
	$(CARGO_TEST) $(CARGO_FLAGS) --test golden --no-run
	rm -rf tests/golden
	UPDATE_GOLDEN=1 $(CARGO_TEST) --quiet $(CARGO_FLAGS) --test golden
	UPDATE_GOLDEN=1 $(CARGO_TEST) --quiet --locked --package falcosidekick-charm --lib outputs::document

# Files that no test writes any more are gone now, and show as well.
golden-fresh: golden
	git diff --exit-code tests/golden
	@new=$$(git ls-files --others --exclude-standard tests/golden); \
		[[ -z $$new ]] || { printf 'golden-fresh: git does not know %s\n' $$new; exit 1; }

pack: ## both charms, with charmcraft, into target/charms; FALCO_TARBALL=PATH or none, PLATFORM=arm64
	charms/pack falco $(PLATFORM)
	charms/pack falcosidekick-k8s $(PLATFORM)

test-packed: pebble ## the scenarios, against the charms that `make pack` made
	@[[ -x target/charms/falco/dispatch && -x target/charms/falcosidekick-k8s/dispatch ]] || { echo 'test-packed: run make pack first'; exit 1; }
	FALCO_DISPATCH=$(CURDIR)/target/charms/falco/dispatch FALCOSIDEKICK_DISPATCH=$(CURDIR)/target/charms/falcosidekick-k8s/dispatch \
		$(CARGO_TEST) --locked --package charm-tests --test falco --test falcosidekick

toolchain: ## install the pinned Rust toolchain with rustup
	rustup toolchain install $(RUST_VERSION) --profile minimal --component clippy --component rustfmt

pebble:
	@tests/tools/build pebble >/dev/null

loki:
	@tests/tools/build loki >/dev/null
