"""Functions that hold a value, called through a list of them."""


def adder(k):
    return lambda x: (x * 3 + k) % 1000003


def run(n):
    functions = [adder(k) for k in range(10)]
    x = 1
    for _ in range(n):
        for f in functions:
            x = f(x)
    return x
