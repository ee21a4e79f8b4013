# make demo   sets up .venv and runs examples/deploy end to end, interpreter kills included
# make test   sets up .venv and runs the tests
# make check  types and lint;  make test-long  the slow tests, and the property tests with many more examples
# make differential SEED=1 COUNT=20000  generated expressions against Clojure, which has to be installed
# make scenarios  every scenario of docs/scenarios.md in all ways
# make crash  the long crash suite;  make docs  generated pages
# make powercut SEED=1 IMAGES=10000  what a disk could hold after a power cut, opened and checked
# make soak MINUTES=30  a steady load with kills
# make formats  stores of every format resumed;  make scrub FLIPS=10000 SEED=1  bit flips in records and in the file, backups under kills
# make faults SEED=1  the n-th write, sync, open, allocation or call of a socket fails, for every n; no room, and room again
# make hostile SEED=1 MUTANTS=1000000  so many broken artifacts and images, refused or run to an end
# make canaries SEED=1  secrets used everywhere, and searched for on every surface
# make bench  the benchmarks, some twelve minutes;  make bench-quick  a share of them;  make bench-micro  single operations
# make bench-peers  installs what they are compared with into build/peers

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-long check crash powercut faults differential scenarios bench bench-quick bench-micro bench-peers docs env env-dev clean
.PHONY: soak

env:
	@$(PYTHON) tools/environment.py

env-dev:
	@$(PYTHON) tools/environment.py dev

demo: env
	@$(BIN)/python examples/deploy/demo.py

test: env-dev
	$(BIN)/python -m pytest -n 2 -m "not slow and not crash"

test-long: env-dev
	$(BIN)/python -m pytest -n 2 -m "(slow or hypothesis) and not crash" --hypothesis-profile=long

crash: env-dev
	$(BIN)/python -m pytest -m crash
	$(BIN)/python -m tests.crash.mixed --kills 10000 --seed $(SEED)
	$(BIN)/python -m tests.crash.points --times 100 --seed $(SEED)
	$(BIN)/python -m tests.crash.outside --kills 5000 --seed $(SEED)
	$(BIN)/python -m tests.crash.stopped --stops 1000 --seed $(SEED)
	$(BIN)/python -m tests.crash.messages --messages 1000000 --processes 1000 --kills 100 --seed $(SEED)

IMAGES ?= 10000
powercut: env-dev
	$(BIN)/python -m tests.powercut --images $(IMAGES) --seed $(SEED)

MINUTES ?= 30
soak: env-dev
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)

faults: env-dev
	$(BIN)/python -m tests.faults --seed $(SEED)
	$(BIN)/python -m tests.faults.rooms $(SEED) 500 $$(mktemp -d)

.PHONY: hostile
hostile: env-dev
	$(BIN)/python -m tests.hostile --artifacts $(MUTANTS) --images $(MUTANTS) --seed $(SEED)

.PHONY: canaries
canaries: env-dev
	$(BIN)/python -m tests.canaries --count 10 --seed $(SEED)

check: env-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

SEED ?= 1
MUTANTS ?= 1000000
COUNT ?= 20000
differential: env-dev
	$(BIN)/python -m tests.differential.run --seed $(SEED) --count $(COUNT)

scenarios: env-dev
	$(BIN)/python -m tests.scenarios

bench: env-dev
	$(BIN)/python -m benchmarks.run

bench-quick: env-dev
	$(BIN)/python -m benchmarks.run --quick

bench-micro: env-dev
	$(BIN)/python -m pytest benchmarks/micro -p no:xdist --benchmark-columns=median,iqr,ops,rounds

bench-peers: env-dev
	$(BIN)/python -m benchmarks.environments

docs: env-dev
	$(BIN)/python -m flowmetal.bytecode.document > docs/bytecode.md
	$(BIN)/python -m flowmetal.store.document > docs/store.md
	$(BIN)/python -m tests.differential.names > docs/clojure-names.md
	$(BIN)/python -m tests.scenarios.page > docs/scenarios.md

.PHONY: formats scrub
formats: env-dev
	$(BIN)/python -m tests.formats

FLIPS ?= 10000
scrub: env-dev
	$(BIN)/python -m tests.scrub --count $(FLIPS) --pages 1000 --seed $(SEED)
	$(BIN)/python -m tests.scrub.backups --backups 50 --seed $(SEED)

clean:
	rm -rf .venv build dist

# make simulate SEED=1 SEEDS=2000  everything under one seed, with programs of a generator
# make history SEED=1 RUNS=50  what clients of a real store were told, against a model
# make determinism  the same bytes under every hash seed and Python version
.PHONY: simulate history determinism
SEEDS ?= 2000
RUNS ?= 50
simulate: env-dev
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --seed $(SEED) --jobs 2

history: env-dev
	$(BIN)/python -m tests.history --runs $(RUNS) --operations 10000 --seed $(SEED)

determinism: env-dev
	$(BIN)/python -m tests.determinism --programs 1000 --seed $(SEED)

# make fuzz  what reads bytes of others, guided by coverage, ten minutes in all (atheris has wheels for Python 3.11 only)
.PHONY: fuzz
FUZZ_SECONDS ?= 600
fuzz: env-dev
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --seed $(SEED)

# make signatures  10,000 alterations of signed artifacts, each of which must be refused
.PHONY: signatures
signatures: env-dev
	$(BIN)/python -m tests.signatures --count 10000 --seed $(SEED)
