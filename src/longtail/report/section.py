"""A section of a report: what it is called, what it is made from, and the template that writes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from longtail.report.difference import Verdicts
from longtail.report.run import Run


@dataclass(frozen=True)
class Content:
    """What a section has to say of some runs.

    Args:
        view: for the template, which knows it as `view`, beside `runs`, `several` and `groups`.
        data: for the script of the page, anything that JSON holds; mappings of one name are joined.
    """

    view: Any
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """One section.

    Args:
        key: its address on the page.
        title: in the list of sections.
        heading: above it.
        template: its file in `templates/`.
        build: makes the content from the runs and the tests of their differences; `None` leaves the section out.
    """

    key: str
    title: str
    heading: str
    template: str
    build: Callable[[Sequence[Run], Verdicts], Content | None]
