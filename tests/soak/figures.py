"""What a soak measures over its time, and what is asked of that: memory that does not grow, answers as quick at the end
as at the beginning, a store that retention keeps small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

#: Of the whole time, what the beginning takes, in which caches fill and retention has nothing to remove yet.
WARM_UP = 0.2
#: Windows of which a 99th percentile is taken; a window is at least so long.
WINDOWS = 24
WINDOW_SECONDS = 2.0
#: What is asked.
SLOPE_MAX = 1.0  # MB an hour
P99_RATIO_MAX = 1.2
DISK_RATIO_MAX = 1.2

Samples = Sequence[tuple[float, float]]  # (seconds since the beginning, value), by time


def warm(samples: Samples, whole: float) -> list[tuple[float, float]]:
    """Those after the beginning."""
    return [(at, value) for at, value in samples if at >= whole * WARM_UP]


def slope_per_hour(samples: Samples, parts: int = 40) -> float:
    """The slope by Theil and Sen: the median of the slopes between the medians of parts of the time.

    A single jump, or a sample taken while something large was in memory, does not count.
    """
    if len(samples) < 2:
        return 0.0
    points = [
        (median(at for at, _ in part), median(value for _, value in part)) for part in pieces(samples, parts) if part
    ]
    slopes = [
        (two - one) / (later - earlier)
        for index, (earlier, one) in enumerate(points)
        for later, two in points[index + 1 :]
        if later > earlier
    ]
    return 3600.0 * median(slopes) if slopes else 0.0


def pieces(samples: Samples, parts: int) -> list[list[tuple[float, float]]]:
    """The samples in parts of equal time."""
    begin, end = samples[0][0], samples[-1][0]
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for at, value in samples:
        found[min(parts - 1, int((at - begin) / max(end - begin, 1e-9) * parts))].append((at, value))
    return [found[part] for part in range(parts)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def p99_by_parts(samples: Samples, whole: float) -> tuple[float, float]:
    """The median of the windows' 99th percentiles in the first third and in the last third after the beginning.

    Medians, as a busy machine spoils a window now and then.
    """
    later = warm(samples, whole)
    if not later:
        return 0.0, 0.0
    count = max(3, min(WINDOWS, int((later[-1][0] - later[0][0]) / WINDOW_SECONDS)))
    windows = [percentile([value for _, value in part], 0.99) for part in pieces(later, count) if part]
    third = max(1, len(windows) // 3)
    return median(windows[:third]), median(windows[-third:])


def disk_growth(samples: Samples, whole: float) -> float:
    """The largest of the last half over the largest of the half before, after the beginning."""
    later = warm(samples, whole)
    half = len(later) // 2
    before, after = later[:half], later[half:]
    if not before or not after:
        return 1.0
    return max(value for _, value in after) / max(value for _, value in before)
