"""A comparison as tables: for terminals, as JSON, CSV and Markdown."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from longtail.compare.findings import findings, notes
from longtail.compare.results import Comparison
from longtail.metrics import Metric, table
from longtail.metrics.significance import Difference, Spread
from longtail.text import DASH, decimal, p_value, rough_duration


def means(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Columns and rows for people: means, shares in %, with the standard deviation if there are several seeds."""
    columns = [
        metric
        for metric in table.METRICS
        if metric.overview and any(metric.key in spreads for spreads in found.spreads.values())
    ]
    rows = [
        [name, *(_mean(metric, spreads.get(metric.key)) for metric in columns), rough_duration(found.seconds[name])]
        for name, spreads in found.spreads.items()
    ]
    return ["recipe", *(metric.title for metric in columns), "time"], rows


def to_dict(found: Comparison) -> dict[str, Any]:
    """Plain data, as JSON has it, with the findings in words. Accuracies are fractions."""
    return {
        "seeds": list(found.seeds),
        "split": found.split,
        "images": found.images,
        "methods": {
            name: {
                "seconds": found.seconds[name],
                "metrics": {
                    metric: {**spread._asdict(), "values": list(found.values[name][metric])}
                    for metric, spread in spreads.items()
                },
            }
            for name, spreads in found.spreads.items()
        },
        "pairs": [
            {
                **asdict(pair),
                "seeds": pair.seeds and pair.seeds._asdict(),
                "images": pair.images and pair.images._asdict(),
                "interval": list(pair.interval),
                "significant": pair.significant,
            }
            for pair in found.pairs
        ],
        "findings": findings(found),
        "notes": notes(found),
    }


def to_csv(found: Comparison) -> str:
    """One row for each method and metric; fractions."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["recipe", "metric", "seeds", "mean", "sd", "low", "high"])
    for name, spreads in found.spreads.items():
        writer.writerows([name, metric, len(found.seeds), *spread] for metric, spread in spreads.items())
    return text.getvalue()


def to_markdown(found: Comparison, protocol: Sequence[str]) -> str:
    """A page: how it was done, the table, what it says, and every difference.

    Args:
        found: the comparison.
        protocol: how the trainings were done, in sentences.
    """
    lines = ["# Comparison", "", *(f"- {line}" for line in protocol), "", *_markdown(*means(found)), ""]
    lines += [*(f"- {line}" for line in findings(found)), "", *notes(found)]
    metrics = {metric.key: metric for metric in table.METRICS}
    rows = [
        [
            f"{pair.one} - {pair.other}",
            metrics[pair.metric].title,
            metrics[pair.metric].difference_in_words(pair.difference),
            *(_interval(metrics[pair.metric], test) for test in (pair.seeds, pair.images)),
            p_value(pair.corrected) + " *" * pair.significant,
        ]
        for pair in found.pairs
    ]
    if rows:
        lines += ["", "## Differences", ""]
        lines += ["In points of %, NLL in nats; intervals of 95 %. A star: significant.", ""]
        lines += _markdown(["methods", "metric", "difference", "over seeds", "over images", "p"], rows)
    return "\n".join(lines) + "\n"


def _interval(metric: Metric, test: Difference | None) -> str:
    return metric.differences_in_words((test.low, test.high)) if test else DASH


def _mean(metric: Metric, spread: Spread | None) -> str:
    if spread is None:
        return DASH
    scale, digits = (1, 3) if metric.unit == "nats" else (100, 1)
    sd = "" if spread.sd is None else f" ± {decimal(scale * spread.sd, digits)}"
    return decimal(scale * spread.mean, digits) + sd


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(columns) - 1)]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in (columns, marks, *rows)
    ]
