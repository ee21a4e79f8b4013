"""A counting loop with a branch and integer arithmetic."""


def run(n):
    total = 0
    for i in range(n):
        if i % 3 == 0:
            total += i * i
        else:
            total -= i
    return total
