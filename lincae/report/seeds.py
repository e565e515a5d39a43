"""Figures of a training that was repeated with several seeds: means, and 95 % intervals of them.

A seed changes initial weights, training data and held-out tracks at once, so that its figures are one independent draw;
with few of them Student's t is the interval, and it is wide.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from lincae.report.results import digits, markdown_table

STUDENT = {
    **{1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228},
    **{15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980},
}
"""Degrees of freedom -> 97.5 % quantile of Student's t distribution; between two, the larger quantile is taken."""

Figures = Mapping[str, Sequence[float | None]]
"""Variant -> a figure of each seed, the same seeds for all; None or NaN where there is none."""


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean of independent values, two or more."""
    freedom = max(known for known in STUDENT if known < len(values))
    return STUDENT[freedom] * statistics.stdev(values) / math.sqrt(len(values))


def level(values: Sequence[float | None]) -> str:
    """`1.23 ± 0.11`, the mean and its interval; without an interval for one seed, a dash where a seed has no figure."""
    if not (known := complete(values)):
        return "-"
    mean = digits(statistics.mean(known))
    return f"{mean} ± {digits(half_width(known))}" if len(known) > 1 else mean


def difference(values: Sequence[float | None], others: Sequence[float | None]) -> str:
    """`+0.12 ± 0.11`, values less those of another variant with the same seeds, whose intervals are paired.

    Bold where the interval excludes zero; see also `level`.
    """
    one, other = complete(values), complete(others)
    if not one or not other:
        return "-"
    paired = [a - b for a, b in zip(one, other, strict=True)]
    mean = statistics.mean(paired)
    sign = "+" if mean > 0 else ""
    if len(paired) < 2:
        return sign + digits(mean)
    half = half_width(paired)
    text = f"{sign}{digits(mean)} ± {digits(half)}"
    return f"**{text}**" if abs(mean) > half else text


def complete(values: Sequence[float | None]) -> list[float]:
    """The values; none of them if one is absent or NaN."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return known if len(known) == len(values) else []


def table(title: str, labels: Mapping[str, str], found: Mapping[str, Figures]) -> str:
    """Markdown: a row for each figure, a column for each variant.

    Args:
        title: of the first column.
        labels: figure -> what the row is called.
        found: figure -> its values.
    """
    variants = list(found[next(iter(labels))])
    return markdown_table([title, *variants], [[labels[name], *map(level, found[name].values())] for name in labels])


def differences(title: str, labels: Mapping[str, str], found: Mapping[str, Figures], against: Mapping[str, str]) -> str:
    """Markdown, as of `table`: each variant less another one, `against[variant]`."""
    rows = [
        [label, *(difference(found[name][variant], found[name][other]) for variant, other in against.items())]
        for name, label in labels.items()
    ]
    return markdown_table([title, *(f"{variant} less {other}" for variant, other in against.items())], rows)
