"""The audit as a page: what was found, as one HTML file that needs no network."""

import math
from typing import TYPE_CHECKING, Any

from longtail.data import thumbnails
from longtail.data.source import Source
from longtail.report import html
from longtail.text import printable

if TYPE_CHECKING:
    from longtail.data.audit.audit import Audit
    from longtail.data.audit.findings import Finding
    from longtail.planning.preflight import Preflight

_LINES = 12  # of a finding that are shown
_PICTURES = 8  # on a line
_ROWS = 1000  # of the table of classes


def render(preflight: "Preflight", *, command: str) -> str:
    """What an audit found, with the images that it speaks of.

    Args:
        preflight: of the data.
        command: that trains on it.
    """
    audit, source = preflight.audit, preflight.listing.source
    training = None
    if preflight.recommendation and preflight.cost:
        training = {"cost": preflight.cost.in_words(), "reasons": preflight.recommendation.reasons, "command": command}
    return html.render(
        "audit.html",
        title=f"Audit of {printable(str(preflight.path))}",
        subtitle=preflight.understood[0],
        figures=_figures(audit),
        curve=_curve(audit),
        table=_table(audit),
        findings=[_finding(each, source) for each in audit.findings],
        training=training,
    )


def _figures(audit: "Audit") -> list[tuple[str, str]]:
    counts = [*audit.classes.values()]
    sizes = audit.sizes
    return [
        ("readable images", f"{sum(counts):,}"),
        ("unreadable", f"{audit.images - sum(counts):,}"),
        ("classes", f"{len(counts):,}"),
        ("largest : smallest", f"{audit.imbalance:,.0f} : 1"),
        ("Gini of class sizes", f"{audit.gini:.2f}"),
        ("many / medium / few", " / ".join(f"{audit.groups[group]:,}" for group in ("many", "medium", "few"))),
        ("shorter side, median", f"{sizes.median:,} px" if sizes else "-"),
        ("kinds of problems", f"{audit.problems:,}"),
    ]


def _curve(audit: "Audit") -> dict[str, Any]:
    """The training images of each class, falling, in a square of 100 x 100 with a logarithmic height."""
    falling = sorted(zip(audit.parts["train"], audit.classes, strict=True), key=lambda pair: -pair[0])
    counts, names = [images for images, _ in falling], [printable(name) for _, name in falling]
    top = math.log10(max(10, counts[0]) * 1.2)

    def height(images: float) -> float:
        return round(100 - 92 * math.log10(images) / top - 8, 2) if images else 100.0

    # No more corners than a screen has pixels.
    step = max(1, len(counts) // 1000)
    corners = [
        f"V{height(counts[i])}H{round(100 * min(i + step, len(counts)) / len(counts), 3)}"
        for i in range(0, len(counts), step)
    ]
    bounds = (
        (f"many: more than {audit.bounds['many']:,}", audit.bounds["many"]),
        (f"few: fewer than {audit.bounds['few']:,}", audit.bounds["few"]),
    )
    return {
        "path": f"M0,100{''.join(corners)}V100Z",
        "ticks": [(f"{10**power:,}", height(10**power)) for power in range(int(top) + 1)],
        "bounds": [(words, height(images)) for words, images in bounds if 1 < images < counts[0]],
        "head": f"{names[0]}: {counts[0]:,}",
        "tail": f"{names[-1]}: {counts[-1]:,}",
    }


def _table(audit: "Audit") -> dict[str, Any]:
    shares = {part: numbers for part, numbers in audit.parts.items() if any(numbers)}
    rows = [
        [printable(name), f"{images:,}", *(f"{shares[part][c]:,}" for part in shares)]
        for c, (name, images) in enumerate(audit.classes.items())
    ]
    order = sorted(range(len(rows)), key=lambda c: -[*audit.classes.values()][c])
    left_out = max(0, len(order) - _ROWS)
    shown = order if not left_out else [*order[: _ROWS // 2], *order[-_ROWS // 2 :]]
    return {"columns": ["class", "images", *shares], "rows": [rows[c] for c in shown], "left_out": left_out}


def _finding(finding: "Finding", source: Source) -> dict[str, Any]:
    """The first items of a finding in words, with their images where there are any to see."""
    items = finding.items[:_LINES]
    wanted = {image["image"] for item in items if "alike" in item for image in item["images"]}
    places = {name: i for i, name in enumerate(source.ids) if name in wanted} if wanted else {}
    lines = []
    for item, words in zip(items, finding.in_words(), strict=False):
        images = item["images"][:_PICTURES] if "alike" in item else ()
        lines.append((words, [_picture(source, places[image["image"]]) for image in images]))
    return {
        "level": finding.level,
        "title": finding.title,
        "advice": finding.advice,
        "lines": lines,
        "more": len(finding.items) - len(items),
    }


def _picture(source: Source, position: int) -> str:
    return html.data_url(thumbnails.webp(source.image(position), 144))
