"""What Flowmetal is compared with: each side is a process of its own that does the same work when it is asked to."""
