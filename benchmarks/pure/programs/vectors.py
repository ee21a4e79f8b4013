"""Filling a list, then changing each of its places."""


def run(n):
    v = []
    for i in range(n):
        v.append(i)
    for i in range(n):
        at = i * 17 % n
        v[at] = v[at] + i
    return [len(v), sum(v), v[5]]
