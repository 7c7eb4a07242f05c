# Everything that is built, checked and shown here, and in CI, starts in this file. `make help` lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# One set of flags for everything but the race detector, which needs cgo: what one target has compiled, the next finds.
export CGO_ENABLED ?= 0
export GOFLAGS ?= -trimpath

TOOLS   := $(CURDIR)/.tools/bin
STAMP   := .tools/stamp
DIR     ?= .demo
FUZZTIME ?= 10s

# Packages in which goroutines meet. They are tested with the race detector, the others without.
CONCURRENT := ./app/... ./client ./client/explorer ./client/pgindex ./consensus ./internal/node/... ./mempool/... ./p2p/... ./state/... ./testnet/... ./cmd/...
MODULE     := github.com/althing-ledger/althing
SEQUENTIAL  = $(shell go list ./... | grep -v -E '^$(MODULE)/((app|internal/node|mempool|p2p|state|testnet|cmd)(/|$$)|client(/explorer|/pgindex)?$$|consensus$$)')

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the static binary bin/althing
	go build -ldflags "-s -w" -o bin/althing ./cmd/althing

.PHONY: demo
demo: build ## start a network of four validators in DIR (.demo) and commit transactions on it
	bin/althing testnet up --demo --detach --validators 4 --dir "$(DIR)"

.PHONY: demo-down
demo-down: ## stop what `make demo` started, and remove it
	bin/althing testnet down --dir "$(DIR)"
	rm -rf "$(DIR)"

.PHONY: test
test: ## run the tests
	go test ./...

.PHONY: race
race: ## run the tests of all concurrent packages with the race detector
	# What changes every field of every answer, proves every read, and the random histories of one store take minutes under
	# the race detector; `make test` runs them.
	CGO_ENABLED=1 go test -race -skip 'EveryField|EveryRead|TestSimulation' $(CONCURRENT)
	# Deriving keys from passphrases takes minutes under the race detector, and no goroutines meet there.
	CGO_ENABLED=1 go test -race -skip Protect ./consensus/signer

.PHONY: netns
netns: ## run real nodes in network namespaces; needs root, ip and iptables
	go test -tags netns -run Namespaces -v -timeout 5m ./testnet

CHURN ?= 5m
.PHONY: churn
churn: ## change the members of a network under load for CHURN (5m), in random order
	go test ./internal/node -run 'TestChurn$$' -v -timeout 1h -churn.for=$(CHURN)

.PHONY: check
check: build format vet lint proto-check tidy ## everything that a change has to pass
	go test $(SEQUENTIAL)
	$(MAKE) race

.PHONY: format
format: ## is every file as gofmt writes it?
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go' -not -path './.tools/*')); \
	if [ -n "$$files" ]; then echo "not as gofmt writes them:" $$files >&2; exit 1; fi

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: lint
lint: $(STAMP) ## staticcheck
	$(TOOLS)/staticcheck ./...

.PHONY: proto-check
proto-check: $(STAMP) ## is the schema well-formed, compatible with the last release, and generated from?
	cd proto && $(TOOLS)/buf lint
	cd proto && $(TOOLS)/buf breaking --against released.binpb
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && \
	(cd proto && PATH="$(TOOLS):$$PATH" buf generate --output "$$out") && \
	{ diff -r proto/gen "$$out/gen" || { echo "proto/gen is not what the schema gives: run make generate" >&2; exit 1; }; }

.PHONY: tidy
tidy: ## do go.mod and go.sum name what is used, and nothing else?
	go mod tidy -diff

.PHONY: generate
generate: $(STAMP) ## generate proto/gen from the schema
	cd proto && PATH="$(TOOLS):$$PATH" buf generate

.PHONY: vectors
vectors: ## write the golden vectors anew; read the diff
	go test ./proto/vectors -rewrite
	go test ./app -run Vectors -rewrite

.PHONY: released
released: $(STAMP) ## take the schema as it is for the one that later ones must be compatible with
	cd proto && $(TOOLS)/buf build -o released.binpb

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file" | while read -r target; do \
			echo "$$(dirname "$$file") $$target"; \
			go test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) </dev/null || exit 1; \
		done || exit 1; \
	done

.PHONY: bench
bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: costs
costs: ## count the instructions and allocations of a transfer, each against its budget
	go test ./internal/costs -count 1 -v -run Budgets

BENCH_FOR     ?= 30s
BENCH_RATE    ?= 0
BENCH_MEMPOOL ?= flood
BENCH_FLAGS   ?=
.PHONY: bench-baseline
bench-baseline: ## measure CometBFT's own unsigned key-value store for BENCH_FOR (30s) as `althing bench` measures Althing
	@go build -o bin/baseline ./internal/loadgen/baseline
	@bin/baseline -for $(BENCH_FOR) -rate $(BENCH_RATE) -mempool $(BENCH_MEMPOOL) $(BENCH_FLAGS)

.PHONY: clean
clean: ## remove what was built, the tools too
	rm -rf bin .tools

# The tools are built from the versions in tools/go.mod, once.
$(STAMP): tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	cd tools && GOBIN=$(TOOLS) go install tool
	@touch $(STAMP)
