# The sections of .ci/run are the same checks with the same limits; the verbs here are
# for work at the keyboard.

SEEDS    ?= 2000
FUZZTIME ?= 30s
BENCH    ?= .

.PHONY: build test race lint sim fuzz chaos conformance openapi cli deploy bench release

build: ## the static binary, bin/memd
	CGO_ENABLED=0 go build -trimpath -o bin/memd ./cmd/memd

test: ## all tests that need no special rights
	go test ./...

race: ## the same under the race detector
	CGO_ENABLED=1 go test -race ./...

lint: ## go vet, golangci-lint at the pinned version
	.ci/run vet lint

sim: ## SEEDS=n schedules of the seeded model; a failing one prints its seed
	MEMD_SIM_SEEDS=$(SEEDS) go test -count=1 -timeout 0 -run '^TestSimLong$$' -v ./test/sim

fuzz: ## each fuzz target of each package for FUZZTIME
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

chaos: ## the built binary under real faults
	go test -tags chaos -count=1 -timeout 60m -v ./test/chaos

conformance: ## the official MCP suite and the inspector, pinned; needs npm
	go test -tags conformance -count=1 -timeout 10m -v ./test/conformance

openapi: ## requests and answers of every route against openapi.yaml, in a module of its own
	cd test/openapi && go vet ./... && go test -count=1 -timeout 5m ./...

cli: ## the binary's command line against scripts, in a module of its own
	cd test/cli && go vet ./... && go test -count=1 -timeout 5m ./...

deploy: ## manifests, chart, rules and dashboard against their own tools, and their processes run
	go -C test/deploy test -count=1 -timeout 20m -v .

bench: ## BENCH=regexp
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

release: ## VERSION=1.2.3: static binaries, SBOMs and checksums in dist/
	.ci/release $(VERSION)
