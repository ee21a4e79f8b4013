"""The workloads, one a module: `measure(sides, scale)` gives an Outcome.  docs/performance.md says what each is for."""
