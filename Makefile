# Each command installs what it needs: `make run` and `make test` need only a Swift toolchain.

SWIFT ?= swift
FILE ?=
NAME ?=
SANITIZE ?=
# How long each fuzz target runs. Other targets have their own default; SECONDS on the command line sets all.
SECONDS = 60
# How long the peers of `make soak` connect and disconnect.
MINUTES = 10
# How many connections with random bytes `make hostile` makes, and by which factor the round trips of a good
# peer may slow down meanwhile (0: they only must not starve).
CONNECTIONS = 1000000
SLOWDOWN = 10
# How many times the nodes of `make duplicates` dial each other.
TRIES = 1000
# How many streams `make soak` opens and ends, and how many requests it makes.
STREAMS = 1000000
QUESTIONS = 1000000
# The seed that repeats a run of `make chaos`; empty for a new one.
SEED =
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)

.PHONY: help deps deps-conformance deps-go build run test interop interop-libp2p conformance
.PHONY: asan tsan shake fuzz chaos folder hostile netns soak churn streams duplicates without-sodium
.PHONY: questions soak-sanitized
.PHONY: docs lint format ci clean
.PHONY: mutants mutants-draw mutants-generated
.PHONY: bench bench-quick bench-build bench-deps bench-docs instructions instructions-update

help: ## Lists the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# --- System packages -----------------------------------------------------------------------------------

deps: ## Installs libuv, libsodium and pkg-config when they are missing
	@if pkg-config --exists libuv libsodium 2>/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "libuv or libsodium not found: installing libuv1-dev, libsodium-dev and pkg-config with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq libuv1-dev libsodium-dev pkg-config; \
	elif command -v brew >/dev/null; then \
	  echo "libuv or libsodium not found: installing both and pkg-config with brew"; \
	  brew install libuv libsodium pkg-config; \
	else echo "please install the headers of libuv and libsodium, and pkg-config" >&2; exit 1; fi

# Compilers and checkers for the conformance programs.
deps-conformance: deps-c deps-go
	@for tool in gcc g++ clang valgrind; do command -v $$tool >/dev/null || missing=yes; done; \
	if [ -z "$$missing" ]; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "gcc, g++, clang or valgrind not found: installing them with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq gcc g++ clang valgrind; \
	else echo "please install gcc, g++, clang and valgrind" >&2; exit 1; fi

deps-instructions: deps-c
	@if command -v valgrind >/dev/null && command -v python3 >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "valgrind or python3 not found: installing both with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq valgrind python3; \
	else echo "please install valgrind and python3" >&2; exit 1; fi

deps-python: deps-c
	@if command -v python3 >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "python3 not found: installing it with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3; \
	else echo "please install Python 3" >&2; exit 1; fi

deps-go:
	@if command -v go >/dev/null; then :; \
	elif command -v apt-get >/dev/null; then \
	  echo "go not found: installing golang-go with apt"; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq golang-go; \
	else echo "please install Go" >&2; exit 1; fi

# --- Building and running ------------------------------------------------------------------------------

build: deps ## Builds the library and the tool, optimised
	$(SWIFT) build -c release --product parley

run: build ## Two nodes exchange messages and FILE (default: the tool itself) on loopback
	scripts/run.sh .build/release/parley $(FILE)

# The C library: building, installing, checking.
include library.mk

# --- Benchmarks ----------------------------------------------------------------------------------------

# Workloads (names or letters), candidates, number of rounds, and seconds of each window.
W =
ONLY =
ROUNDS = 5
WINDOW = 1
# The congestion control of the run; `system` uses this machine's.
CONGESTION = reno

bench: bench-build ## Compares Parley with others; W=pingpong for one workload, ROUNDS=5, WINDOW=1
	python3 Benchmarks/runner --workloads "$(W)" --candidates "$(ONLY)" --rounds $(ROUNDS) \
	  --seconds $(WINDOW) --congestion $(CONGESTION)

bench-quick: bench-build ## Prints WORKLOAD CANDIDATE RATIO for round trips and one way, in under 50 s
	@python3 Benchmarks/runner quick --congestion $(CONGESTION)

bench-build: deps
	@$(MAKE) --no-print-directory -C Benchmarks SWIFT="$(SWIFT)" >&2

bench-deps: deps ## Installs the other candidates (Go, ZeroMQ, nng, rsync) and perf
	@if command -v apt-get >/dev/null; then \
	  $(SUDO) apt-get update -qq \
	  && $(SUDO) apt-get install -y -qq golang-go golang-github-flynn-noise-dev \
	    golang-github-hashicorp-yamux-dev libzmq3-dev libnng-dev openssl iproute2 rsync \
	    util-linux \
	  && { $(SUDO) apt-get install -y -qq linux-perf || $(SUDO) apt-get install -y -qq strace; }; \
	elif command -v brew >/dev/null; then brew install go zeromq nng; \
	else echo "please install Go, ZeroMQ and nng with their headers" >&2; exit 1; fi

bench-docs: ## Writes the results of `make bench` into the pages; RUNS="a b c": folders of several runs
	python3 Benchmarks/runner docs --runs "$(RUNS)"

# A part of the names of the rows that `make instructions` measures, for example ROW=echo.
ROW =

instructions: deps-instructions $(LIB)/libparley.a ## Counts instructions a message; fails above figures.txt
	@SWIFT="$(SWIFT)" CC="$(CC)" scripts/instructions.sh --only "$(ROW)"

instructions-update: deps-instructions $(LIB)/libparley.a ## Writes their figures anew, to the pages too
	@SWIFT="$(SWIFT)" CC="$(CC)" scripts/instructions.sh --update && python3 Benchmarks/runner pages

# --- Checks --------------------------------------------------------------------------------------------

test: deps ## Runs the whole Swift test suite
	@SWIFT="$(SWIFT)" scripts/test.sh

# A virtual environment with the packages of the foreign Noise node.
NOISE_PYTHON := .build-noise-peer/bin/python3

$(NOISE_PYTHON): Tests/Interop/noise/requirements.txt
	@python3 -m venv .build-noise-peer 2>/dev/null || { command -v apt-get >/dev/null \
	  && echo "python3-venv not found: installing it with apt" \
	  && $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv \
	  && python3 -m venv .build-noise-peer; }
	.build-noise-peer/bin/pip install -q -r Tests/Interop/noise/requirements.txt \
	  || { rm -rf .build-noise-peer; exit 1; }
	@touch $@

interop: deps deps-go $(NOISE_PYTHON) ## Runs Parley with a Go node of the reference and a foreign Noise node
	cd Tests/Interop/go && go vet ./... && go test ./...
	cd Tests/Interop/go && go build -o bin/gonode . && go build -o bin/gobpipe ./gobpipe
	$(SWIFT) run -c release ParleyInterop Tests/Interop/go/bin/gonode Tests/Interop/go/bin/gobpipe
	$(SWIFT) run -c release ParleyNoiseInterop $(NOISE_PYTHON) Tests/Interop/noise/foreign.py

# Virtual environments with nodes of libp2p, one for each: both packages have a module of the same name. And
# one in Go of other parts: hashicorp/yamux and flynn/noise, from Debian's packages. A node that cannot be
# installed is skipped. $(NOISE_PYTHON) installs python3-venv where it is missing.
LIBP2P := Tests/Interop/libp2p
GO_LIBRARIES := /usr/share/gocode
LIBP2P_NODES := .build-libp2p-go/installed .build-libp2p-py/installed .build-libp2p-yamux/installed

.build-libp2p-%/installed: $(LIBP2P)/requirements-%.txt | $(NOISE_PYTHON)
	@# The wheel of go-libp2p is for Python 3.11.
	@rm -rf $(@D); python=$$(command -v python3.11 || command -v python3); \
	if $$python -m venv $(@D) && $(@D)/bin/pip install -q -r $<; then touch $@; else rm -rf $(@D); fi

# Without modules, which would be downloaded.
.build-libp2p-yamux/installed: $(wildcard $(LIBP2P)/yamux/*.go) | deps-go
	@rm -rf $(@D); mkdir -p $(@D); cd $(LIBP2P)/yamux; \
	if [ ! -d $(GO_LIBRARIES)/src/github.com/flynn/noise ] && command -v apt-get >/dev/null; then \
	  echo "the Go libraries of yamux and Noise not found: installing them with apt"; \
	  $(SUDO) apt-get update -qq \
	    && $(SUDO) apt-get install -y -qq golang-github-hashicorp-yamux-dev golang-github-flynn-noise-dev; \
	fi; \
	if GO111MODULE=off GOPATH=$(GO_LIBRARIES) go build -o $(CURDIR)/$(@D)/node .; then touch $(CURDIR)/$@; fi

# With REQUIRED=1 a node that is not installed is a failure.
interop-libp2p: deps $(LIBP2P_NODES) ## Runs Parley with libp2p nodes of three other makes, both ways
	$(SWIFT) run -c release ParleyLibP2PInterop $(if $(REQUIRED),--required) \
	  go-libp2p=.build-libp2p-go/bin/python3=$(LIBP2P)/go_node.py \
	  py-libp2p=.build-libp2p-py/bin/python3=$(LIBP2P)/py_node.py \
	  go-yamux=.build-libp2p-yamux/node

conformance: deps-conformance lib ## C programs with a staged install, in five ways; NAME=echo for one
	cd Tests/Interop/go && go build -o bin/gonode .
	@NAME="$(NAME)" scripts/conformance.sh

asan: deps ## Runs the suite under AddressSanitizer and LeakSanitizer
	@# ParleyCLITests start the tool with Foundation's Process, which reads past a directory entry.
	LSAN_OPTIONS=suppressions=$(CURDIR)/scripts/lsan.supp \
	  SWIFT="$(SWIFT)" scripts/test.sh --sanitize=address --scratch-path .build-asan --skip ParleyCLITests

tsan: deps ## Runs the suite under ThreadSanitizer, after it has found a planted race
	scripts/planted-race.sh
	@# Skipped: the wire forms, which have no threads and are slow here, and the tool's tests, which set limits
	@# that the sanitizer's runtime exceeds. The reports are printed after the tests.
	@rm -f .build-tsan/reports.*
	TSAN_OPTIONS="suppressions=$(CURDIR)/scripts/tsan.supp log_path=$(CURDIR)/.build-tsan/reports" \
	SWIFT="$(SWIFT)" scripts/test.sh --sanitize=thread --scratch-path .build-tsan \
	  --skip "GOB|DecoderTests|Fuzz|Mux|Negotiation|ParleyCLITests" \
	|| { cat .build-tsan/reports.* 2>/dev/null; exit 1; }

shake: deps ## Runs the suite with random delays in its threads (Linux only), optionally under SANITIZE
	@SANITIZE="$(SANITIZE)" scripts/shake.sh

fuzz: deps ## Runs each fuzz target for SECONDS (60); inputs that fail are kept in Tests/Fuzz/Failures
	scripts/fuzz.sh $(SECONDS)

chaos: SECONDS = 120
chaos: deps ## 20 nodes with faults, kills and restarts for SECONDS (120); SEED repeats a run
	$(SWIFT) build -c release --product ParleyChaos
	.build/release/ParleyChaos --seconds $(SECONDS) --seed "$(SEED)"

# What `make folder` sends, and how often it is interrupted.
FILES = 20000
MIB = 2048
INTERRUPTIONS = 50

folder: build deps-python ## The tool moves FILES of MIB together, interrupted INTERRUPTIONS times; compares
	python3 Tests/RealFolder .build/release/parley --files $(FILES) --mib $(MIB) \
	  --interruptions $(INTERRUPTIONS) $(if $(SEED),--seed $(SEED))

hostile: SECONDS = 10
hostile: deps ## Attacks a node, with CONNECTIONS (1 M) of random bytes too, secured and multiplexed ones
	$(SWIFT) build -c release --product ParleyHostile
	.build/release/ParleyHostile --connections $(CONNECTIONS) --seconds $(SECONDS) --slowdown $(SLOWDOWN)
	.build/release/ParleyHostile secured --seconds $(SECONDS) --slowdown $(SLOWDOWN)
	.build/release/ParleyHostile secured --allow everyone --seconds $(SECONDS) --slowdown $(SLOWDOWN)
	.build/release/ParleyHostile multiplexed --seconds $(SECONDS) --slowdown $(SLOWDOWN)
	@# What misuses streams is the same inside a secured link: all of it at once has to do.
	.build/release/ParleyHostile multiplexed --security noise --only together \
	  --seconds $(SECONDS) --slowdown $(SLOWDOWN)

netns: deps ## Three hosts in network namespaces; one loses its link and gets it back (root only)
	@if [ "$$(id -u)" = 0 ]; then $(SWIFT) build -c release --product ParleyNamespaces && scripts/netns.sh; \
	else echo "netns: skipped, it needs root for network namespaces"; fi

soak: deps ## Slow reader, large message, frames, STREAMS, QUESTIONS (1 M each), churn for MINUTES (10)
	$(SWIFT) build -c release --product ParleySoak
	.build/release/ParleySoak slow-reader
	.build/release/ParleySoak large-message
	.build/release/ParleySoak descriptors
	.build/release/ParleySoak frames
	.build/release/ParleySoak duplicates --tries $(TRIES)
	.build/release/ParleySoak streams --streams $(STREAMS)
	.build/release/ParleySoak questions --questions $(QUESTIONS) --seed "$(SEED)"
	.build/release/ParleySoak churn --seconds $$(($(MINUTES) * 60))

churn: SECONDS = 60
churn: deps ## Only the last part of the soak: 1,000 peers connect and disconnect for SECONDS (60)
	$(SWIFT) build -c release --product ParleySoak
	.build/release/ParleySoak churn --seconds $(SECONDS)

streams: STREAMS = 100000
streams: deps ## Only the streams of the soak: STREAMS (100,000) on secured connections, beside messages
	$(SWIFT) build -c release --product ParleySoak
	.build/release/ParleySoak streams --streams $(STREAMS)

questions: deps ## Only the requests of the soak: QUESTIONS (1 M) through a proxy with faults; SEED repeats
	$(SWIFT) build -c release --product ParleySoak
	.build/release/ParleySoak questions --questions $(QUESTIONS) --seed "$(SEED)"

without-sodium: deps ## Checks that the product Parley is built and linked without libsodium
	@SWIFT="$(SWIFT)" scripts/without-sodium.sh

duplicates: deps ## Two secured nodes dial each other at once, TRIES (1,000) times, and keep one connection
	$(SWIFT) build -c release --product ParleySoak
	.build/release/ParleySoak duplicates --tries $(TRIES)

soak-sanitized: SECONDS = 120
soak-sanitized: deps ## `make churn` under AddressSanitizer and ThreadSanitizer, for SECONDS (120) each
	scripts/soak-sanitized.sh $(SECONDS)

mutants: deps-python ## Turns each fault of Tests/Mutants/list.txt on; a test that stays green is missing
	python3 Tests/Mutants check
	SWIFT="$(SWIFT)" CC="$(CC)" python3 Tests/Mutants list --only "$(ONLY)"

mutants-draw: deps-python ## The same for ten faults, drawn by the commit
	SWIFT="$(SWIFT)" CC="$(CC)" python3 Tests/Mutants list --draw 10

# How many of the generated faults; 0 for all.
SAMPLE = 0

mutants-generated: deps-python ## The same for faults made out of wire forms and values; SAMPLE=300 for some
	SWIFT="$(SWIFT)" CC="$(CC)" python3 Tests/Mutants generated --sample $(SAMPLE) --only "$(ONLY)"

docs: deps-python ## Builds the documentation's site, .build-docs/site, and compiles the code on its pages
	SWIFT="$(SWIFT)" CC="$(CC)" scripts/docs.sh

SWIFT_FILES = Package.swift Sources Tests Examples \
  Benchmarks/Package.swift Benchmarks/Sources Benchmarks/Instructions/Sources

# Where lint compiles. `make ci` gives the folder of `make test`, which compiles the same.
LINT_BUILD = .build-lint

lint: deps deps-python ## Checks formatting, line lengths, warnings, and what the library may link
	$(SWIFT) format lint --strict --recursive $(SWIFT_FILES)
	scripts/check-lines.sh
	scripts/check-scripts.sh
	PARLEY_STRICT=1 $(SWIFT) build --scratch-path $(LINT_BUILD)
	PARLEY_STRICT=1 scripts/check-imports.sh $(LINT_BUILD)
	scripts/check-arrows.sh
	scripts/check-examples.sh
	python3 Tests/Mutants check

format: ## Formats every Swift file in place
	$(SWIFT) format --in-place --recursive $(SWIFT_FILES)

ci: ## Runs every check that continuous integration runs
	bash .ci/run

clean: ## Removes everything that was built
	rm -rf .build .build-* Benchmarks/.build Tests/Interop/go/bin
