"""Building one long text of many small ones."""


def run(n):
    text = "".join(f"item-{i}: {i * 7};" for i in range(n))
    return [len(text), text[-20:], text[:20].upper()]
