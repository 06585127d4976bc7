# The commands of this repository. Each sets the machine up first (deploy/setup.sh), so a fresh clone needs nothing else.
# CARGO_TARGET_DIR and every other cargo setting is honoured.

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-cluster dev bench foreign test lint

DROVER := cargo run --release --locked -q -p drover-cli --
# make demo SCALE=4: a million rows instead of 250,000
DEMO := dev --demo $(if $(SCALE),--scale $(SCALE))

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):[^#]*## */  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: ## install PostgreSQL, etcd and protoc where they are missing
	@sh deploy/setup.sh

demo: build ## migrate a made-up legacy clinic on private PostgreSQL servers, show the result, clean up
	$(DROVER) $(DEMO) --exit-after

# ROUNDS=20 plays it twenty times, each at other moments.
demo-cluster: setup ## the same by three agents while one is killed, one frozen, controller and etcd restarted
	cargo build --release --locked -p drover-cli -p drover-controller -p drover-agent -p drover-tests --bins
	"$${CARGO_TARGET_DIR:-target}/release/demo-cluster" $(or $(SCALE),1) $(or $(ROUNDS),1) $(SEED)

# SCALES="10 40" are 2.5 and 10 million rows, about an hour. Of the ways, pgcopydb is left out where it is not installed.
bench: setup ## time a migration beside pipes, pgcopydb, staged SQL and a cluster; writes the README's table
	cargo build --release --locked -p drover-cli -p drover-controller -p drover-agent -p drover-tests --bins
	out=$$(mktemp -d) && for scale in $(or $(SCALES),10 40); do BENCH_OUT=$$out deploy/bench/run.sh $$scale $(or $(ROUNDS),3) || exit 1; done && \
		deploy/bench/table.py --write README.md $$out/*.tsv && rm -r $$out

dev: build ## the same, and stay up to be looked at
	$(DROVER) $(DEMO)

# Apart from the run, so that the first build shows its progress.
.PHONY: build
build: setup
	cargo build --release --locked -p drover-cli

# NAME=oscar is one of them, ROWS=300 a table is quick. Needs the network.
foreign: build ## migrate databases of public applications, and compare with an oracle
	tests/foreign/run.sh $(or $(NAME),all) $(ROWS)

# The end-to-end tests run the programs that stand beside them, built with the same features.
test: ## every test, on private PostgreSQL servers
	@sh deploy/setup.sh clients
	@sh deploy/clients.sh >/dev/null
	cargo build --workspace --all-targets --locked
	cargo test --workspace --locked

lint: setup ## format check, clippy without a warning
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
