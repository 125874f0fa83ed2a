SWIFT ?= swift
# More flags for every build, such as --jobs 1.
SWIFT_BUILD_FLAGS ?=
PREFIX ?= /usr/local
DESTDIR ?=
ORDERS ?= 500
CYCLES ?= 200
MESSAGES ?= 1000000

CHECKED = --explicit-target-dependency-import-check error $(SWIFT_BUILD_FLAGS)
# The standard library is linked in, so that a service needs no toolchain on its machine.
RELEASE = -c release --static-swift-stdlib $(CHECKED)

.PHONY: help setup demo build test lint format bench bench-peers crash complexity redis-conformance install uninstall \
	test-systemd clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile
	@echo "  variables: ORDERS=$(ORDERS) CYCLES=$(CYCLES) MESSAGES=$(MESSAGES) PREFIX=$(PREFIX) DESTDIR= SWIFT_BUILD_FLAGS="

setup: ## install missing Debian packages
	@scripts/setup

demo: build ## the order flow with real processes, kills and an accounting; ORDERS=5000 for more
	@ORDERS=$(ORDERS) scripts/demo

build: setup ## optimised binaries in .build/release
	$(SWIFT) build $(RELEASE)

test: setup ## all tests
	PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -q -s demo
	$(SWIFT) test $(CHECKED)

lint: ## check the format of the sources
	$(SWIFT) format lint --strict --recursive --parallel Sources Tests Benchmarks Package.swift

format: ## format the sources
	$(SWIFT) format --in-place --recursive --parallel Sources Tests Benchmarks Package.swift

bench: build ## brokerd alone: rates, allocations and instructions a message beside the stored ones
	@scripts/bench

bench-peers: build ## brokerd beside Redis, beanstalkd, JetStream and RabbitMQ; writes Benchmarks/RESULTS.md; QUICK=1 to try
	@scripts/bench-peers

crash: setup ## kill -9 at random moments, CYCLES=200 times, with an independent checker
	CRASH_CYCLES=$(CYCLES) $(SWIFT) test $(CHECKED) --filter Crash

complexity: setup ## entries that each operation looks at, among up to MESSAGES=1000000 messages; some minutes
	BROKER_MESSAGES=$(MESSAGES) $(SWIFT) test $(CHECKED) --filter ComplexityTests

redis-conformance: build ## compare every command's replies with a real redis-server's
	@scripts/redis-conformance

test-systemd: build ## boot a Debian with systemd and run the services in it (needs root)
	@scripts/test-systemd

install: ## binaries, units, configuration, man pages, completions below DESTDIR and PREFIX
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install

uninstall: ## remove what install has put there, except configuration and data
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install --remove

clean: ## remove all build products
	rm -rf .build
