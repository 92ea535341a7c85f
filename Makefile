# What people and CI call. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

target := $(abspath $(or $(CARGO_TARGET_DIR),target))
# The worker that the PHP and the JavaScript suite start.
export WAVELOG_WORKER_BIN := $(target)/debug/wavelog_worker

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/:.* ## /\t/' | expand -t 24

.PHONY: run
run: ## Build and run the demo: a worker on loopback with a page that shows it work
	@cargo run --profile quick -- demo

.PHONY: example
example: ## Run the example: a PHP page with live updates, and a worker for it
	@env -u WAVELOG_WORKER_BIN examples/php-live-log/start

.PHONY: check
check: format lint unit docs tidy ## The quick half of the tests; passes before every commit

.PHONY: test
test: setup format lint docs book test-rust test-api instructions test-php test-js lint-deploy ## Everything; installs what it needs first

.PHONY: setup
setup: ## Install what the tests need and is missing, as root or with sudo
	@scripts/setup

.PHONY: format
format:
	cargo fmt --check

.PHONY: lint
lint:
	cargo clippy --all-targets --features faults,packages -- -D warnings

.PHONY: lint-deploy
lint-deploy: ## Check what runs elsewhere: scripts, Dockerfile, compose files, Kubernetes, workflows
	@scripts/lint-deploy

.PHONY: docs
docs:
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --no-deps --document-private-items

.PHONY: book
book: ## The manual as a book: target/book/index.html
	scripts/book

.PHONY: docs-tables
docs-tables: ## Write the tables of the manual that are made from the code
	UPDATE_DOCS=1 cargo test --lib manual::

.PHONY: unit
unit:
	cargo test --lib

.PHONY: tidy
tidy:
	cargo test --test it -- tidy::

.PHONY: test-rust
test-rust: ## The Rust tests alone: unit, integration, doc
	cargo test --no-fail-fast

.PHONY: test-api
test-api: build ## The description of the internal API against a real worker, with schemathesis
	scripts/test-api

.PHONY: test-php
test-php: build ## The PHP suites alone: the worker as PHP sees it, and clients/php
	phpunit --configuration tests/php/phpunit.xml
	phpunit --configuration clients/php/tests/phpunit.xml
	phpunit --configuration clients/php/codeigniter3/tests/phpunit.xml

.PHONY: test-php-versions
test-php-versions: build ## clients/php under PHP 7.4 and 8.4, which it unpacks from Debian's packages
	scripts/test-php-versions

.PHONY: test-js
test-js: build $(addsuffix /node_modules/.package-lock.json,clients/js tests/browser) ## The JavaScript suites alone
	cd clients/js && npm test
	cd tests/browser && npm test

# npm writes this file itself; it is older than the lock when there is something to install.
%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci && touch node_modules/.package-lock.json

.PHONY: build
build:
	cargo build

.PHONY: instructions
instructions: ## Count the instructions of the hot paths; fails if one grew by more than 5 %
	cargo run --release --example instructions

.PHONY: instructions-baseline
instructions-baseline: ## Count them and make that the baseline; the commit says why
	cargo run --release --example instructions -- --baseline

.PHONY: faults
faults: setup ## The tests of bad input, of peers that stall or vanish, of every fault of Redis; some minutes
	cargo test --features faults --test it -- --show-output \
		deadlines:: frames:: garbage:: keepalive:: shutdown:: slow:: cluster_faults:: cluster_gaps:: \
		cluster_slow::
	cargo test --lib -- redis::tests registry::tests

.PHONY: fuzz
fuzz: ## The property tests of everything that reads input, each with 100,000 cases
	PROPTEST_CASES=100000 cargo test --profile quick --lib -- protocol:: token:: config::

.PHONY: bench
bench: ## Measure what this machine carries, some five minutes; target/bench.html and bench.json
	cargo build --release
	$(target)/release/wavelog_worker bench all --rounds 5 --json --report $(target)/bench.html >$(target)/bench.json

.PHONY: bench-cluster
bench-cluster: ## Measure what a cluster costs Redis and its nodes, two minutes; needs redis-server
	cargo build --release --bin wavelog_worker --example cluster
	$(target)/release/examples/cluster

# Sockets and publishes over a long time must leave nothing behind. What grows in the first rounds,
# such as lists that have as much room as they need, is far below the bound.
.PHONY: soak
soak: ## 100,000 sockets come and go under 1,000,000 publishes; fails if memory grows by over 8 MiB
	cargo build --release
	$(target)/release/wavelog_worker bench churn --rounds 1 --sockets 10 --at-once 64 \
		--cycles 100000 --publishes 1000000 --rate 5000 --max-growth 8

.PHONY: deb
deb: ## The Debian package, in target/dist
	@scripts/make-deb

.PHONY: static
static: ## A static program and what belongs to it as an archive, in target/dist
	@scripts/make-tarball

.PHONY: test-packages
test-packages: ## Install the package under systemd, run the image; as root, some minutes
	@scripts/test-packages

.PHONY: audit
audit: ## Licences, banned and double dependencies, by deny.toml
	@cargo deny --version >/dev/null 2>&1 || \
		{ echo "audit: install it first: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny check licenses bans sources
