"""What commands print: results and tables for people, JSON for programs, messages beside them."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longtail.comparison import Comparison
    from longtail.metrics import Summary
    from longtail.preview import Preview
    from longtail.recipe import Published, Recipe
    from longtail.reproduce import Row

_SECONDS_BETWEEN_LINES = 60.0


def print_summary(summary: "Summary", settings: "Recipe", run: Path, as_json: bool, *, split: str) -> None:
    """Print what one run is worth."""
    if as_json:
        print_json(summary.to_dict())
    else:
        sys.stdout.write(f"{settings.name}, seed {settings.seed}: {_images(summary, split)}\n\n")
        published = settings.published if split == "test" else None
        for label, value, note in _results(summary, published):
            sys.stdout.write(f"{label:<12} {value:>8}  {note}".rstrip() + "\n")
    say(f"results are in {run}")


def _results(summary: "Summary", published: "Published | None") -> list[tuple[str, str, str]]:
    s, bounds = summary, summary.group_bounds
    training = {
        "many": f"more than {bounds['many']} training images",
        "medium": f"{bounds['few']} to {bounds['many']}",
        "few": f"fewer than {bounds['few']}",
    }
    return [
        ("top-1", percent(s.top1), f"published: {published.top1:.2%} ({published.source})" if published else ""),
        ("top-5", percent(s.top5), ""),
        ("balanced", percent(s.balanced_accuracy), "mean over classes"),
        *(
            (group, percent(getattr(s, group)), f"{number(s.group_classes[group], 'class', 'es')}, {words}")
            for group, words in training.items()
        ),
        ("worst class", percent(s.worst_class_recall), f"class {s.worst_class}"),
        ("macro F1", percent(s.macro_f1), ""),
        ("ECE", percent(s.ece), "mean gap between confidence and accuracy"),
    ]


def print_preview(preview: "Preview", command: str) -> None:
    """Print what an audit found, the first few of each kind, and how to go on."""
    audit = preview.audit
    lines = [
        *preview.understood,
        "",
        f"{number(audit.learnt, 'image', 's')} to learn from, {audit.measured:,} to measure",
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
        shown = finding.in_words()
        lines += [f"  {line}" for line in shown[:3]]
        lines += [f"  and {len(shown) - 3:,} more"] * (len(shown) > 3)
        lines += [f"  -> {finding.advice}"] * bool(finding.advice)
    if preview.advice:
        lines += ["", "advice, to change with --set NAME=VALUE:", *(f"  {reason}" for reason in preview.advice.reasons)]
    if preview.cost:
        lines += ["", f"training takes {preview.cost.in_words()}: {command}"]
    sys.stdout.write("\n".join(lines) + "\n")


def print_comparison(summaries: dict[str, "Summary"]) -> None:
    """One row a run: overall, per group, balanced."""
    first = next(iter(summaries.values()))
    groups, bounds = first.group_classes, first.group_bounds
    sys.stdout.write(
        f"{_images(first, 'test')}\n"
        f"by training images: {groups['many']:,} many (> {bounds['many']}), "
        f"{groups['medium']:,} medium ({bounds['few']} to {bounds['many']}), "
        f"{groups['few']:,} few (< {bounds['few']})\n\n"
    )
    print_table(
        ["run", "top-1", "many", "medium", "few", "balanced", "macro F1", "ECE"],
        [
            [name, *map(percent, (s.top1, s.many, s.medium, s.few, s.balanced_accuracy, s.macro_f1, s.ece))]
            for name, s in summaries.items()
        ],
    )


def print_findings(found: "Comparison") -> None:
    """Print the table of a comparison, and what it says."""
    sys.stdout.write(f"{number(found.images, f'{found.split} image', 's')}; {number(len(found.seeds), 'seed', 's')}; ")
    sys.stdout.write("means in %" + (" ± standard deviation\n\n" if len(found.seeds) > 1 else "\n\n"))
    print_table(*found.table())
    for paragraph in (found.findings(), found.notes() if found.pairs else []):
        sys.stdout.write("\n" * bool(paragraph) + "".join(f"{line}\n" for line in paragraph))


def print_rows(rows: "Sequence[Row]") -> None:
    """Print published figures and ours, and what runs there are that do not count."""
    columns = ["row", "published", "ours", "difference", "tolerance", "verdict", "seeds", "time", "images"]
    cells = [
        [
            row.recipe,
            percent(row.published),
            percent(row.ours),
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
    say(f"{len(rows) - missing} of {number(len(rows), 'row', 's')} run; differences and tolerances in points of %")


def _both(row: "Row") -> tuple[tuple[float | None, str], tuple[float | None, str]]:
    return (row.difference, "+.2f"), (row.tolerance, ".2f")


def _images(summary: "Summary", split: str) -> str:
    absent = summary.classes - summary.classes_measured
    without = f", {absent:,} of them without images" if absent else ""
    kind = {"train": "training"}.get(split, split)
    return f"{number(summary.images, f'{kind} image', 's')} of {number(summary.classes, 'class', 'es')}{without}"


def number(count: int, noun: str, plural: str) -> str:
    """A count with its noun.

    >>> number(1, "image", "s"), number(1200, "class", "es")
    ('1 image', '1,200 classes')
    """
    return f"{count:,} {noun}{plural * (count != 1)}"


def percent(fraction: float | None) -> str:
    """A fraction as people read it; a dash for none.

    >>> percent(0.4497), percent(None)
    ('44.97%', '-')
    """
    return "-" if fraction is None else f"{fraction:.2%}"


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Plain text, as wide as it is: a name that a terminal breaks can still be copied from a file or a pipe."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for cells in (columns, ["-" * width for width in widths], *rows):
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        sys.stdout.write("  ".join([first.lstrip().ljust(widths[0]), *others]).rstrip() + "\n")


def print_json(content: object) -> None:
    """Print plain data for programs."""
    # ASCII, so that no name of a class can fail to be written to a pipe.
    sys.stdout.write(json.dumps(content, indent=1) + "\n")


@contextmanager
def counting(words: str, *, shown: bool = True) -> Iterator[Callable[[int, int | None], None]]:
    """A bar in a terminal, and nothing elsewhere; gives the function that is told how many of how many are done.

    Args:
        words: what is being done.
        shown: `False` leaves the terminal to others.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    where = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
    # What goes to standard output meanwhile must get there, and not to where the bar is.
    hidden = not (shown and where.is_terminal)
    with Progress(*columns, console=where, transient=True, disable=hidden, redirect_stdout=False) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def watching() -> Iterator[Callable[[str], None]]:
    """A line that changes in a terminal, and one a minute elsewhere; gives the function that is told what it says."""
    from rich.console import Console
    from rich.text import Text

    where, told = Console(stderr=True), time.monotonic()
    if where.is_terminal:
        with where.status("") as status:
            yield lambda text: status.update(Text(text, no_wrap=True, overflow="ellipsis"))
        return

    def show(text: str) -> None:
        nonlocal told
        if time.monotonic() - told > _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            say(text)

    yield show


def say(text: str) -> None:
    """Tell a person something that is not the result."""
    sys.stderr.write(text + "\n")
