"""map, filter and reduce over a range, as Python has it: a generator expression."""


def run(n):
    return sum(x * x for x in range(n) if x % 3 != 0)
