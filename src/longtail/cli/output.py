"""What commands print: results and tables for people, JSON for programs, messages beside them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.text import percent_cell, quantity, split_title

if TYPE_CHECKING:
    from longtail.compare.reproduce import Row
    from longtail.compare.results import Comparison
    from longtail.metrics import Metric, Summary
    from longtail.planning.preflight import Preflight
    from longtail.recipe import Published, Recipe


def print_summary(summary: "Summary", settings: "Recipe", where: Path, as_json: bool, *, split: str) -> None:
    """Print the results of one run.

    Args:
        summary: its results.
        settings: its recipe.
        where: the file or folder of these results.
        as_json: for programs.
        split: that was evaluated; on "test", the published figure stands beside.
    """
    if as_json:
        print_json(summary.to_dict())
    else:
        sys.stdout.write(f"{settings.name}, seed {settings.seed}: {_images(summary, split)}\n\n")
        published = settings.published if split == "test" else None
        for label, value, interval, note in _results(summary, published):
            sys.stdout.write(f"{label:<15} {value:>7}  {interval:<14}  {note}".rstrip() + "\n")
    message(f"results are in {where}")


def _results(summary: "Summary", published: "Published | None") -> list[tuple[str, str, str, str]]:
    """Label, value, 95 % interval and note of each line; 80 columns hold them."""
    from longtail.metrics import table

    lines = list[tuple[str, str, str, str]]()
    for metric in table.METRICS:
        value, interval = summary.figures[metric.key], summary.intervals[metric.key]
        if value is not None or metric.groups:
            words = metric.interval_in_words(interval) if interval else ""
            lines.append((metric.title, _cell(metric, value), words, _note(metric, summary)))
        if metric.key == "top1" and published:
            lines.append(("published", percent_cell(published.top1), published.source, ""))
    return lines


def _note(metric: "Metric", summary: "Summary") -> str:
    many, few = summary.group_bounds["many"], summary.group_bounds["few"]
    match metric.key:
        case "top1":
            return "95 % interval"
        case "balanced_accuracy":
            return "mean over classes"
        case "many":
            return f"{_of(summary, 'many')}, over {many} training images"
        case "medium":
            return f"{_of(summary, 'medium')}, {few} to {many}"
        case "few":
            return f"{_of(summary, 'few')}, fewer than {few}"
        case "worst_class_recall":
            return f"class {summary.worst_class}"
        case "ece":
            return "mean gap, confidence and accuracy"
        case "ece_calibrated":
            return f"with temperature {summary.temperature:.2f}"
    return ""


def _cell(metric: "Metric", value: float | None) -> str:
    """A value in a terminal, where shares have two digits."""
    return percent_cell(value) if metric.unit == "percent" else metric.value_in_words(value)


def _of(summary: "Summary", group: str) -> str:
    """The classes of a group, and how many of them are measured, if not all."""
    classes, measured = summary.group_classes[group], summary.group_measured[group]
    return quantity(classes, "class") + (f" ({measured:,} measured)" if measured < classes else "")


def print_preflight(preflight: "Preflight", command: str) -> None:
    """Print what an audit found, the first few of each kind, and how to go on."""
    audit = preflight.audit
    lines = [
        *preflight.understood,
        "",
        f"{quantity(audit.training_images, 'image')} to learn from, {audit.evaluated_images:,} to evaluate",
    ]
    lines.append(
        f"largest class to smallest: {audit.imbalance:,.0f} to 1; Gini of class sizes: {audit.gini:.2f}; "
        f"{audit.groups['many']:,} many (> {audit.bounds['many']}), {audit.groups['medium']:,} medium, "
        f"{audit.groups['few']:,} few (< {audit.bounds['few']})"
    )
    if audit.sizes:
        lines.append(
            f"shorter sides: {audit.sizes.smallest:,} to {audit.sizes.largest:,} pixels, median {audit.sizes.median:,}"
        )
    for finding in audit.findings:
        if finding.kind == "listing":  # was among what was understood
            continue
        lines += ["", f"{finding.level}: {finding.title}"]
        items = finding.in_words()
        lines += [f"  {line}" for line in items[:3]]
        lines += [f"  and {len(items) - 3:,} more"] * (len(items) > 3)
        lines += [f"  -> {finding.advice}"] * bool(finding.advice)
    if preflight.recommendation:
        reasons = [f"  {reason}" for reason in preflight.recommendation.reasons]
        lines += ["", "advice, to change with --set NAME=VALUE:", *reasons]
    if preflight.cost:
        lines += ["", f"training takes {preflight.cost.in_words()}: {command}"]
    sys.stdout.write("\n".join(lines) + "\n")


def print_comparison(summaries: dict[str, "Summary"]) -> None:
    """One row a run, one column a metric."""
    from longtail.metrics import table

    first = next(iter(summaries.values()))
    groups, bounds = first.group_classes, first.group_bounds
    sys.stdout.write(
        f"{_images(first, 'test')}\n"
        f"by training images: {groups['many']:,} many (> {bounds['many']}), "
        f"{groups['medium']:,} medium ({bounds['few']} to {bounds['many']}), "
        f"{groups['few']:,} few (< {bounds['few']})\n\n"
    )
    columns = [metric for metric in table.METRICS if metric.overview]
    print_table(
        ["run", *(metric.title for metric in columns)],
        [
            [name, *(_cell(metric, summary.figures[metric.key]) for metric in columns)]
            for name, summary in summaries.items()
        ],
    )


def print_findings(found: "Comparison") -> None:
    """Print the table of a comparison, and what it says."""
    from longtail.compare import findings, tables

    sys.stdout.write(f"{quantity(found.images, f'{found.split} image')}; {quantity(len(found.seeds), 'seed')}; ")
    sys.stdout.write("means in %" + (" ± standard deviation\n\n" if len(found.seeds) > 1 else "\n\n"))
    print_table(*tables.means(found))
    for paragraph in (findings.findings(found), findings.notes(found) if found.pairs else []):
        sys.stdout.write("\n" * bool(paragraph) + "".join(f"{line}\n" for line in paragraph))


def print_rows(rows: "Sequence[Row]") -> None:
    """Print published figures and ours, and what runs there are that do not count."""
    columns = ["row", "published", "ours", "difference", "tolerance", "verdict", "seeds", "time", "images"]
    cells = [
        [
            row.recipe,
            percent_cell(row.published),
            percent_cell(row.ours),
            *("-" if points is None else f"{100 * points:{form}}" for points, form in _both(row)),
            row.verdict,
            f"{len(row.seeds)}" if row.seeds else "-",
            "-" if row.seconds is None else f"{row.seconds / 60:,.1f} min",
            "-" if row.images is None else f"{row.images:,}",
            "; ".join(row.hardware) or "-",
            "; ".join(row.versions) or "-",
        ]
        for row in rows
    ]
    print_table([*columns, "hardware", "version"], cells)
    for row in rows:
        for remark in row.remarks:
            sys.stdout.write(f"{row.recipe}: {remark}\n")
    missing = sum(row.verdict == "not run" for row in rows)
    message(f"{len(rows) - missing} of {quantity(len(rows), 'row')} run; differences and tolerances in points of %")


def _both(row: "Row") -> tuple[tuple[float | None, str], tuple[float | None, str]]:
    return (row.difference, "+.2f"), (row.tolerance, ".2f")


def _images(summary: "Summary", split: str) -> str:
    absent = summary.classes - summary.classes_measured
    without = f", {absent:,} of them without images" if absent else ""
    return f"{quantity(summary.images, f'{split_title(split)} image')} of {quantity(summary.classes, 'class')}{without}"


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Plain text, as wide as it is: a name that a terminal breaks can still be copied from a file or a pipe."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for cells in (columns, ["-" * width for width in widths], *rows):
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        sys.stdout.write("  ".join([first.lstrip().ljust(widths[0]), *others]).rstrip() + "\n")


def print_recipes(recipes: "Sequence[Recipe]") -> None:
    """One row a recipe: what it trains, and what was published for it."""
    from longtail.recipe import network_name

    print_table(
        ["recipe", "network", "epochs", "batch", "published top-1"],
        [
            [
                each.name,
                network_name(each.network),
                str(each.epochs),
                str(each.batch_size),
                percent_cell(each.published and each.published.top1),
            ]
            for each in recipes
        ],
    )


def print_json(content: object) -> None:
    """Print plain data for programs."""
    # ASCII, so that no name of a class can fail to be written to a pipe.
    sys.stdout.write(json.dumps(content, indent=1) + "\n")


def message(text: str) -> None:
    """Write a line for people that is not the result."""
    sys.stderr.write(text + "\n")
