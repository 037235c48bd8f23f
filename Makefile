# Everything sets itself up: `make run` and `make test` need a Swift toolchain and nothing else.

SWIFT ?= swift
FILE ?=
NAME ?=
SANITIZE ?=
# How long each fuzz target runs; other targets have their own idea, and take SECONDS from the command line too.
SECONDS = 60
# How long the peers of `make soak` come and go.
MINUTES = 10
# How many connections of random bytes `make hostile` makes, and how much slower a good peer may get meanwhile (0: it
# must not starve).
CONNECTIONS = 1000000
SLOWDOWN = 10
# What repeats a run of `make chaos`; a new one each time if it is empty.
SEED =
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)

.PHONY: help deps build run test interop conformance asan tsan shake fuzz soak bench bench-quick bench-build bench-deps bench-docs lint format ci clean
.PHONY: chaos hostile netns churn soak-sanitized

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# --- What the system has to bring ---------------------------------------------------------------------

deps: ## Installs libuv and pkg-config when they are missing
	@if pkg-config --exists libuv 2>/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "libuv not found: installing libuv1-dev and pkg-config with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libuv1-dev pkg-config; \
	elif command -v brew >/dev/null; then \
	  echo "libuv not found: installing libuv and pkg-config with brew"; brew install libuv pkg-config; \
	else echo "please install libuv's headers and pkg-config" >&2; exit 1; fi

# Compilers and checkers for the programs in C.
deps-conformance: deps-c deps-go
	@for tool in gcc g++ clang valgrind; do command -v $$tool >/dev/null || missing=yes; done; \
	if [ -z "$$missing" ]; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "gcc, g++, clang or valgrind not found: installing them with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq gcc g++ clang valgrind; \
	else echo "please install gcc, g++, clang and valgrind" >&2; exit 1; fi

deps-go:
	@if command -v go >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "go not found: installing golang-go with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq golang-go; \
	else echo "please install Go" >&2; exit 1; fi

# --- Building and trying ------------------------------------------------------------------------------

build: deps ## The library and the tool, optimised
	$(SWIFT) build -c release --product parley

run: build ## Two nodes on loopback talk and send FILE (default: the tool itself)
	scripts/run.sh .build/release/parley $(FILE)

# The C library: lib, install, and what belongs to it.
include library.mk

# --- Measuring ----------------------------------------------------------------------------------------

# Which workloads (names or letters), which candidates, how often, and how long each window is.
W =
ONLY =
ROUNDS = 5
WINDOW = 1
# The congestion control of the run; `system` leaves this machine's.
CONGESTION = reno

bench: bench-build ## Parley beside its peers; W=pingpong for one workload, ROUNDS=5, WINDOW=1 (s), CONGESTION=reno
	python3 Benchmarks/runner --workloads "$(W)" --candidates "$(ONLY)" --rounds $(ROUNDS) --seconds $(WINDOW) --congestion $(CONGESTION)

bench-quick: bench-build ## Lines of WORKLOAD CANDIDATE RATIO for round trips and one way, in under 50 s
	@python3 Benchmarks/runner quick --congestion $(CONGESTION)

bench-build: deps
	@$(MAKE) --no-print-directory -C Benchmarks SWIFT="$(SWIFT)" >&2

bench-deps: deps ## Installs what the other candidates need: Go, ZeroMQ, nng; and perf
	@if command -v apt-get >/dev/null; then \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq golang-go libzmq3-dev libnng-dev iproute2 util-linux \
	  && { $(SUDO) apt-get install -y -qq linux-perf || $(SUDO) apt-get install -y -qq strace; }; \
	elif command -v brew >/dev/null; then brew install go zeromq nng; \
	else echo "please install Go, ZeroMQ and nng with their headers" >&2; exit 1; fi

bench-docs: ## Puts what `make bench` has measured into the pages; RUNS="a b c": folders with that of several runs
	python3 Benchmarks/runner docs --runs "$(RUNS)"

# --- Proving ------------------------------------------------------------------------------------------

test: deps ## The whole Swift test suite
	@# One test at a time: some of them wait on raw sockets, and block one of the two threads that all tasks share here.
	$(SWIFT) test --disable-xctest --no-parallel

interop: deps deps-go ## Parley and a Go node of the reference, both ways
	cd Tests/Interop/go && go vet ./... && go test ./... && go build -o bin/gonode . && go build -o bin/gobpipe ./gobpipe
	$(SWIFT) run -c release ParleyInterop Tests/Interop/go/bin/gonode Tests/Interop/go/bin/gobpipe

conformance: deps-conformance lib ## Programs in C against a staged install: gcc, clang, g++, valgrind, ASan; NAME=echo for one
	cd Tests/Interop/go && go build -o bin/gonode .
	@NAME="$(NAME)" scripts/conformance.sh

asan: deps ## The suite under AddressSanitizer and LeakSanitizer
	@# Foundation's Process, which starts the tool in its tests, reads past a directory entry.
	$(SWIFT) test --disable-xctest --sanitize=address --scratch-path .build-asan --no-parallel --skip ParleyCLITests

tsan: deps ## The suite under ThreadSanitizer, which first has to find a planted race
	scripts/planted-race.sh
	@# The wire forms are pure values without threads, and slow under this sanitizer. The tool is run under limits
	@# that its runtime does not bear.
	@# What it reports comes last, behind the tests.
	@rm -f .build-tsan/reports.*
	TSAN_OPTIONS="suppressions=$(CURDIR)/scripts/tsan.supp log_path=$(CURDIR)/.build-tsan/reports" \
	$(SWIFT) test --disable-xctest --sanitize=thread --scratch-path .build-tsan --no-parallel --skip "GOB|DecoderTests|Fuzz|ParleyCLITests" \
	|| { cat .build-tsan/reports.* 2>/dev/null; exit 1; }

shake: deps ## The suite with threads that are held up at random; SANITIZE=thread or address for more (Linux only)
	@SANITIZE="$(SANITIZE)" scripts/shake.sh

fuzz: ## Each fuzz target for SECONDS (default: 60); what fails is left in Tests/Fuzz/Failures
	scripts/fuzz.sh $(SECONDS)

chaos: SECONDS = 120
chaos: deps ## 20 nodes through faults, kills and restarts for SECONDS (120), repeated by SEED; every message accounted for
	$(SWIFT) build -c release --product ParleyChaos
	.build/release/ParleyChaos --seconds $(SECONDS) --seed "$(SEED)"

hostile: SECONDS = 10
hostile: deps ## A node under attack, CONNECTIONS (1 M) of random bytes among it; its good peer must not notice much
	$(SWIFT) build -c release --product ParleyHostile
	.build/release/ParleyHostile --connections $(CONNECTIONS) --seconds $(SECONDS) --slowdown $(SLOWDOWN)

netns: deps ## Three hosts in network namespaces, one loses its link and gets it back (root only)
	@if [ "$$(id -u)" = 0 ]; then $(SWIFT) build -c release --product ParleyNamespaces && scripts/netns.sh; \
	else echo "netns: skipped, it needs root for network namespaces"; fi

soak: deps ## A slow reader, a large message, too few descriptors, a million frames; 1,000 peers for MINUTES (10)
	$(SWIFT) build -c release --product ParleySoak
	.build/release/ParleySoak slow-reader
	.build/release/ParleySoak large-message
	.build/release/ParleySoak descriptors
	.build/release/ParleySoak frames
	.build/release/ParleySoak churn --seconds $$(($(MINUTES) * 60))

churn: SECONDS = 60
churn: deps ## The last part of the soak alone, for SECONDS (60)
	$(SWIFT) build -c release --product ParleySoak
	.build/release/ParleySoak churn --seconds $(SECONDS)

soak-sanitized: SECONDS = 120
soak-sanitized: deps ## The same under AddressSanitizer and ThreadSanitizer, for SECONDS (120) each
	scripts/soak-sanitized.sh $(SECONDS)

lint: deps ## Formatting, warnings, and what the library may link
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests Examples Benchmarks/Package.swift Benchmarks/Sources
	$(SWIFT) build --scratch-path .build-lint -Xswiftc -warnings-as-errors
	scripts/check-imports.sh
	scripts/check-examples.sh

format: ## Formats every Swift file in place
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests Examples Benchmarks/Package.swift Benchmarks/Sources

ci: ## What continuous integration runs
	bash .ci/run

clean: ## Removes everything that was built
	rm -rf .build .build-* Benchmarks/.build Tests/Interop/go/bin
