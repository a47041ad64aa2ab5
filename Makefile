# Everything a developer runs. `make` alone lists the targets; continuous integration runs `make test`.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Settings of the targets, for the command line: make bench B=Fanout P=./gateway/...
ARGS ?=
T    ?= 60s
S    ?= 20
SEED ?= 1
B    ?= .
P    ?= ./...
SCRIPT ?= fanout
ROUNDS ?= 3
PEERS  ?=

# The linters' own modules are none of ours: go run builds this version once and keeps it in the build cache.
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# Inputs, not seconds, per fuzz target in `make test`: the same work on a slow machine and on a fast one.
FUZZ_SMOKE ?= 30000x

# step prints what is about to run, so that a long silence has a name.
step = printf '\n== %s\n' "$(1)"

.PHONY: help run build test deps check fmt vet lint unit invariants manifests fuzz fuzz-smoke hostile chaos rolling dashboard inbox-faults load compare bench clean clean-all

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: build ## build and start with --dev on the embedded broker; more flags: ARGS="--listen :9000"
	@bin/sluice --dev $(ARGS)

build: ## build bin/sluice
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/sluice ./gateway

test: deps check unit invariants manifests fuzz-smoke ## install what the tests need, then run all checks and tests
	@$(call step,all passed)

deps: ## install what the tests need and this machine lacks (Debian packages, npm, Go modules); nothing is started
	@.ci/deps

check: fmt vet lint ## gofmt, go vet, linters

fmt:
	@$(call step,gofmt)
	@files=$$(gofmt -l .); \
	if [ -n "$$files" ]; then printf 'gofmt would change these; run gofmt -w on them:\n%s\n' "$$files"; exit 1; fi

vet:
	@$(call step,go vet)
	@go vet ./...
	@go vet -tags invariants ./...

lint: ## the linters of .golangci.yml; the first run builds them, a minute or two
	@$(call step,golangci-lint: built first if this machine has not yet)
	@log=$$(.ci/again $(GOLANGCI) version 2>&1) || { printf '%s\n' "$$log"; exit 1; }
	@$(GOLANGCI) run ./...

# Many tests wait for others more than they compute, hence -parallel. The program's own take minutes: they run once, with the ownership checks compiled in, which is the stricter way.
unit: ## all tests under the race detector, those of gateway excepted: see invariants
	@$(call step,go test -race)
	@go test -race -timeout 8m -parallel 6 $$(go list ./... | grep -v '/gateway')

invariants: ## the tests of loop and gateway under the race detector, with their ownership checks compiled in
	@$(call step,go test -race -tags invariants)
	@go test -race -timeout 8m -parallel 6 -tags invariants ./loop/... ./gateway/...

manifests: ## the files of deploy, read with the types of Kubernetes, Helm, Compose, Envoy and Prometheus; builds these first
	@$(call step,go test in deploy/strict: libraries are built first if this machine has not yet)
	@go -C deploy/strict vet ./...
	@go -C deploy/strict test -timeout 8m ./...

fuzz: ## every fuzz target for T=60s
	@.ci/fuzz $(T)

fuzz-smoke:
	@$(call step,fuzz targets, briefly)
	@.ci/fuzz $(FUZZ_SMOKE)

hostile: build ## hostile clients against bin/sluice for T=60s, ordinary ones beside them; the same again: ARGS="-seed N"
	@go run ./gateway/hostile/soak -program bin/sluice -for $(T) $(ARGS)

chaos: build ## break Redis, the network and nodes under bin/sluice for T=60s; ARGS="-topology cluster -seed N"
	@go run ./loadtest/chaos -program bin/sluice -for $(T) $(ARGS)

rolling: build ## replace three nodes behind HAProxy under 10,000 clients; the page is out/rolling/rolling.html; ARGS="-clients 1000"
	@go run ./loadtest/rolling -program bin/sluice -out out/rolling $(ARGS)

dashboard: build ## draw the Grafana dashboard from a Prometheus, three minutes; the page is out/dashboard/dashboard.html; ARGS="-for 5m"
	@go build -o bin/sluice-load ./loadtest/sluice-load
	@go run ./loadtest/dashboard -out out/dashboard $(ARGS)
	@node loadtest/dashboard/shot.mjs out/dashboard/dashboard.html out/dashboard

inbox-faults: ## clients send while Redis and nodes are killed: S=20 schedules of faults from SEED=1 on
	@go test -race -count=1 -timeout 30m -run TestInboxUnderFaults -v ./gateway -inbox.schedules $(S) -inbox.seed $(SEED) | grep -v logger.go

load: ## k6 against a server, which it starts if none listens: SCRIPT=fanout or all; the first run builds k6, four minutes; ARGS="-e RATE=50"
	@loadtest/k6/load.sh $(SCRIPT) $(ARGS)

compare: ## Sluice beside other servers, which it installs in out/compare: 25 minutes; PEERS=sluice,gws ROUNDS=3 ARGS=--quick
	@go build -o bin/compare ./loadtest/compare
	@bin/compare --rounds $(ROUNDS) $(if $(PEERS),--peers $(PEERS)) $(ARGS)

bench: ## benchmarks: B=regexp P=packages
	@go test -run '^$$' -bench '$(B)' -benchmem $(P)

clean: ## remove what was built
	@rm -rf bin out

clean-all: clean ## and the Node programs
	@rm -rf node_modules
