"""Closest names, for "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

#: Longer names are not compared: the work grows with the square, and nobody mistypes such a name by a letter.
NAME_CHARACTERS = 60


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` was most likely meant to be, or None if none is near."""
    near = suggestions(name, candidates, limit=1)
    return near[0] if near else None


def suggestions(name: str, candidates: Iterable[str], *, limit: int = 3) -> list[str]:
    """The nearest candidates, best first.

    Near: the same but for case or punctuation, the same name in another namespace, or at most one edit (insert,
    delete, change, swap of neighbours) for every three characters.
    """
    if not 0 < len(name) <= NAME_CHARACTERS:
        return []
    allowed = max(1, len(name) // 3)
    folded = _folded(name)
    scored = []
    for candidate in set(candidates):
        if candidate == name or not 0 < len(candidate) <= NAME_CHARACTERS:
            continue
        if _folded(candidate) == folded:
            score = 0
        elif _local(candidate) == _local(name) and len(_local(name)) > 1:
            score = 1
        elif abs(len(candidate) - len(name)) > allowed:
            continue
        else:
            score = edit_distance(name, candidate, allowed)
            # A name of one or two letters is one edit from every other; only a swap or a shared letter counts.
            if score > allowed or (len(name) < 3 and not set(name) & set(candidate)):
                continue
        # Of the modules that have the name, the one that is written most like what was written.
        distance = edit_distance(name, candidate, len(name)) if score == 1 and "/" in name else 0
        scored.append((score, distance, candidate[0] != name[0], candidate))
    return [candidate for _, _, _, candidate in sorted(scored)[:limit]]


def edit_distance(left: str, right: str, limit: int) -> int:
    """Edits that turn one into the other (a swap of neighbours is one); `limit + 1` stands for more than `limit`."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row = row, [i]
        for j, b in enumerate(right, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before = previous
    return min(row[-1], limit + 1)


def _folded(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum() or character in "/?!")


def _local(name: str) -> str:
    return name.rpartition("/")[2]
