# Everything runs by the Node of package.json, so that any Node from 20 on will do to begin with.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.PHONY: demo build test check bench soak fuzz dist clean check-corpus help

SYSTEM_PATH := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export FLOWKIT_BIN ?= $(CURDIR)/dist/flowkit

MODULES := node_modules/.package-lock.json
VERSION = $(shell node -p 'require("./package.json").version')
ARCHIVE = dist/flowkit-$(VERSION)-linux-x64.tar.gz
# two at a time: many tests start processes of their own
RUN_TESTS := node --test --test-concurrency=2 --test-timeout=300000

build: $(MODULES) ## Build dist/flowkit
	@node cmd/build.ts

demo: build ## Show it at work
	@node test/demo.ts

test: build ## Run all tests, on the built executable
	@$(RUN_TESTS) 'test/**/*.test.ts'

check: $(MODULES) ## Check types, imports, and that tests cover 90 % of the lines of core and formats
	@tsc -p .
	@FLOWKIT_BIN= c8 --all --src core --src formats --include 'core/**' --include 'formats/**' \
	  --temp-directory dist/coverage/tmp --reporter text --skip-full --check-coverage --lines 90 \
	  $(RUN_TESTS) --test-reporter dot test/boundaries.test.ts 'test/core/**/*.test.ts' 'test/formats/**/*.test.ts'

bench: build ## Measure it beside nfdump and others
	@node test/bench/run.ts

soak: build ## Kill it, then load it for long: make soak MINUTES=10 KILLS=100
	@node test/soak.ts --minutes $(or $(MINUTES),10) --kills $(or $(KILLS),100)
	@node test/soak-capture.ts --minutes $(or $(MINUTES),10)

fuzz: $(MODULES) ## Feed it damaged input for a while
	@node test/fuzz/netflow.ts --count 1000000
	@node test/fuzz/formats.ts --count 200000
	@node test/fuzz/packets.ts --count 1000000

check-corpus: build ## Compare its readings of a corpus with those of other tools: make check-corpus CORPUS=FOLDER
	@node test/corpus/check.ts $(CORPUS)

dist: build ## Pack the executable and the library for release
	@tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -czf $(ARCHIVE) LICENSE README.md -C dist flowkit
	@cd dist && sha256sum $(notdir $(ARCHIVE)) > $(notdir $(ARCHIVE)).sha256
	@echo $(ARCHIVE)
	@node cmd/build-library.ts
	@npm pack --silent --offline --ignore-scripts --pack-destination dist ./dist/npm

clean: ## Remove what was built
	@rm -rf dist

help: ## List these
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# .bin/node is the Node that is wanted: it must not run the npm that replaces it
$(MODULES): export PATH := $(SYSTEM_PATH)
$(MODULES): package-lock.json
	@say() { echo "$$*" >&2; exit 1; }; \
	command -v npm > /dev/null || say 'npm is missing: install Node.js 20 or later, with npm'; \
	node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' \
	  || say "Node.js $$(node --version) is too old: install 20 or later"; \
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	[[ -x node_modules/.bin/node ]] || say "There is no Node 26 for $$(uname -sm) among the packages of npm"; \
	node_modules/.bin/node --version > /dev/null \
	  || say 'Node 26 does not start: is libatomic missing? (Debian: apt-get install libatomic1)'; \
	touch $@
