"""The engine: turns of processes over a store, and what it takes to build and load their programs."""
