# Everything there is to do here, one word each. `make` alone lists it.
#
# All of it is compiled with one profile (release), so that dependencies are compiled once;
# CARGO_TARGET_DIR moves the target folder as usual.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: setup tools readers web dashboard web-test demo test lint fmt bench torture help
.PHONY: demo-services services services-down services-status compose-check

CARGO ?= cargo
# Further arguments for each cargo command, such as --locked.
CARGO_FLAGS ?=
# Arguments of the demo; where nobody watches, it ends by itself.
DEMO_ARGS ?= $(if $(filter true,$(CI)),--exit)

setup: ## check the tools that are needed; install missing system packages on Debian as root
	@scripts/setup.sh
	@scripts/readers.sh >/dev/null

tools:
	@scripts/setup.sh build

# What the tests open an archive with, in an environment of its own.
readers:
	@scripts/setup.sh test
	@scripts/readers.sh >/dev/null

web: ## build the dashboard that the binary embeds (needs Node.js)
	@scripts/web.sh build

# The same where Node.js is there; without it the binary has no dashboard.
dashboard:
	@scripts/web.sh build --optional

web-test: tools web ## test the dashboard: units, and every page in a browser over the demo's data
	@scripts/web.sh test
	$(CARGO) build --release $(CARGO_FLAGS) -p questlake
	@scripts/dashboard-tests.sh "$${CARGO_TARGET_DIR:-target}/release/questlake"

demo: tools dashboard ## simulate a game, load it and serve its figures (DEMO_ARGS=…)
	$(CARGO) run --release $(CARGO_FLAGS) -p questlake -- demo $(DEMO_ARGS)

demo-services: tools dashboard ## the same on PostgreSQL, MongoDB, Kafka, HDFS and Redis of this machine
	CARGO="$(CARGO)" CARGO_FLAGS="$(CARGO_FLAGS)" scripts/demo-services.sh $(DEMO_ARGS)

test: readers web ## run all tests and count them; services are started for it
	CARGO="$(CARGO)" scripts/run-tests.sh $(CARGO_FLAGS)

lint: tools ## check format, clippy, documentation and dependencies; warnings are errors
	$(CARGO) fmt --all --check
	CARGO="$(CARGO)" scripts/check-deps.sh $(CARGO_FLAGS)
	$(CARGO) clippy --release --workspace --all-targets $(CARGO_FLAGS) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps $(CARGO_FLAGS)
	@scripts/web.sh lint --optional

fmt: ## format all code
	$(CARGO) fmt --all

bench: setup ## measure against other tools side by side; a table, and JSON beside it
	scripts/bench.sh

torture: tools ## kill the pipeline at every failpoint, over and over, and check the accounts
	QUESTLAKE_TORTURE=full $(CARGO) test --release $(CARGO_FLAGS) -p questlake --test torture -- --nocapture

services: ## start PostgreSQL, Redis, Kafka, HDFS, MongoDB and S3 for the tests, on 127.0.0.1
	@scripts/services.sh up

services-down: ## stop them and remove their data; downloads are kept
	@scripts/services.sh down

services-status: ## what of them runs
	@scripts/services.sh status

compose-check: ## check compose.yaml, .env.example and the Dockerfile
	@scripts/compose-check.sh

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
