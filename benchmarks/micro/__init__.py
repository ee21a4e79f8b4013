"""Single operations, by pytest-benchmark: `make bench-micro`.  Not part of the tests."""
