"""Counting into a dict of a thousand keys."""


def run(n):
    counts = {}
    for i in range(n):
        key = i * 7919 % 1000
        counts[key] = counts.get(key, 0) + i
    return [len(counts), sum(counts.values()), counts.get(7, 0)]
