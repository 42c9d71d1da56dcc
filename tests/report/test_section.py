"""A section of a report: that a module, a template and a place in the order are all that another one takes."""

from dataclasses import dataclass
from typing import Any

from jinja2 import ChoiceLoader, DictLoader, Environment, PackageLoader

from longtail import report
from longtail.report import html, page
from longtail.report.section import Content, Section

# All that somebody writes who adds a section: a module with this, ...


@dataclass(frozen=True)
class Largest:
    """The most frequent class of each run."""

    names: list[str]


def _build(runs, _):
    largest = [max(run.summary.per_class, key=lambda each: each.train_count).name for run in runs]
    return Content(Largest(largest), {"largest": largest})


SECTION = Section("largest", "Largest", "The most frequent class", "largest.html", _build)

# ... and its template.
TEMPLATE = "{% for name in view.names %}<p>{{ runs[loop.index0].name }}: {{ name }}</p>{% endfor %}"


def test_adding_a_section_takes_a_module_a_template_and_its_place(run, monkeypatch):
    def environment(*, loader: PackageLoader, **options: Any) -> Environment:
        return Environment(loader=ChoiceLoader([loader, DictLoader({"largest.html": TEMPLATE})]), **options)

    monkeypatch.setattr(html, "Environment", environment)
    monkeypatch.setattr(page, "SECTIONS", (*page.SECTIONS[:2], SECTION, *page.SECTIONS[2:]))
    text = report.render([run])
    assert '<a href="#largest">Largest</a>' in text
    assert '<h2 id="largest-title">The most frequent class</h2>\n<p>hybrid-psc: class 0000</p>' in text
    assert text.index('id="classes"') < text.index('id="largest"') < text.index('id="training"')
    assert '"largest": ["class 0000"]' in text


def test_a_section_without_content_is_left_out(run, monkeypatch):
    empty = Section("empty", "Empty", "Nothing", "no such template", lambda *_: None)
    monkeypatch.setattr(page, "SECTIONS", (*page.SECTIONS, empty))
    assert "empty" not in report.render([run]).replace("is empty", "")
