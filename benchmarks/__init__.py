"""What is measured, and how: see docs/performance.md."""
