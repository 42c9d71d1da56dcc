"""The page: whole without a network, safe whatever is in names, and small."""

import html
import json
import re
import time
from html.parser import HTMLParser

import pytest

from longtail import report
from longtail.report import difference, run
from support import fake_runs
from support.messages import one_line

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "\"quoted\" & 'single'",
    "{{ 7 * 7 }} {% raw %}",
    "x" * 300,
    "Ünï©ødé \u202eright to left\u2069 🦊",
    "line\nbreak\ttab",
    "-->]]>",
    "javascript:alert(3)",
    " ",
)


class Page(HTMLParser):
    """Words, addresses that would be loaded, scripts, and whether every element ends."""

    EMPTY = ("meta", "img", "line", "path", "br", "input")

    def __init__(self, page):
        super().__init__()
        self.words, self.addresses, self.handlers, self.scripts, self.open = "", [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "xlink:href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        if tag == "script":
            self.scripts.append("")
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.words += data


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [fake_runs.write(folder / "one").path, fake_runs.write(folder / "two", method="ce", skill=1).path]


def assert_loads_nothing(text):
    page = Page(text)
    assert page.open == []
    assert page.handlers == []
    assert all(address.startswith(("data:image/webp;base64,", "#")) for address in page.addresses)
    without_pictures = re.sub(r"[A-Za-z0-9+/=]{60,}", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|@font-face|<link|<iframe|<object", without_pictures)
    assert re.search(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-", html.unescape(text)
    )
    assert len(page.scripts) == 2
    return page


@pytest.mark.parametrize("runs", [1, 2])
def test_page_loads_nothing(two, runs):
    page = assert_loads_nothing(report.render(two[:runs]))
    assert all(f"#{name}" in page.addresses for name in ("headline", "classes", "training", "map", "settings"))
    for words in ("Last epoch of 20, one seed (0), test split of 100 images.", "95 % interval"[: 20 * (runs == 1)]):
        assert words in page.words


def test_names_cannot_break_the_page(tmp_path):
    record = {"notes": ["found <b>bold</b> names"]}
    path = fake_runs.write(
        tmp_path / "<i>run",
        names=HOSTILE,
        overrides=["data.name=own", "data.path=/tmp/<u>birds", "data.n_max=null"],
        record=record,
        quarantine=[("<s>a.png", HOSTILE[0], "is <broken>")],
    ).path
    text = report.render([path])
    page = assert_loads_nothing(text)
    assert not re.search(r"<(b|i|u|s|broken)>(?=bold|run|birds|a\.png)|onerror=alert\(2\)>", text)
    assert json.loads(page.scripts[0])["classes"]["name"] == [*HOSTILE]
    for words in ("found <b>bold</b> names", "is <broken>", "1 unreadable, left out", "{{ 7 * 7 }} {% raw %}"):
        assert words in page.words


def test_a_run_without_a_gallery_says_how_to_get_one(tmp_path):
    text = report.render([fake_runs.write(tmp_path / "run", pictured=False).path])
    assert_loads_nothing(text)
    assert "This run kept no pictures" in text
    assert "This run kept no features" in text
    assert "<img " not in text


def test_two_classes_and_no_mistakes(tmp_path):
    text = report.render([fake_runs.write(tmp_path / "run", classes=2, skill=60).path])
    page = assert_loads_nothing(text)
    assert "There is none: all images are recognised." in page.words
    assert "No image of the rarest classes is predicted as another class." in page.words


def test_other_images_and_groups_are_noted(two, tmp_path):
    other = fake_runs.write(tmp_path / "other", data=1, imbalance=5, seed=1).path
    words = Page(report.render([two[0], other])).words
    assert "was evaluated on other images than" in words
    assert "was trained on other class counts than" in words
    assert "were evaluated on the same images" not in words
    assert "were evaluated on the same images" in Page(report.render(two)).words


def test_runs_that_cannot_stand_side_by_side(two, tmp_path):
    named = fake_runs.write(tmp_path / "named", names=[*"abcdefghij"]).path
    fewer = fake_runs.write(tmp_path / "fewer", classes=9).path
    for paths, words in (
        ([two[0], named], (two[0], named, "other classes ('class 0000' and 'a' for class 0)", "must know the same")),
        ([two[0], fewer], ("10 and 9 classes",)),
        ([two[0], two[0]], ("a run was given twice",)),
        ([two[0]] * 7, ("7 runs were given; allowed: 1 to 6",)),
        ([tmp_path], (tmp_path, "holds no run")),
    ):
        with pytest.raises(ValueError, match=r".") as caught:
            report.render(paths)
        one_line(caught, *words)


def test_a_run_that_has_not_finished_is_named(tmp_path):
    run = fake_runs.write(tmp_path / "run")
    run.summary().unlink()
    with pytest.raises(ValueError, match=r"run has not finished: summary\.json is not there; longtail resume"):
        report.render([run.path])


@pytest.mark.parametrize("damage", ["summary.json", "predictions.parquet", "gallery.parquet", "split.json"])
def test_a_damaged_file_is_named(tmp_path, damage):
    run = fake_runs.write(tmp_path / "run")
    (run.path / damage).write_bytes(b"{ no")
    with pytest.raises(ValueError, match=f"{damage} is damaged") as caught:
        report.render([run.path])
    one_line(caught)


@pytest.mark.slow
def test_a_hundred_classes_and_ten_thousand_images_are_quick(tmp_path):
    path = fake_runs.write(tmp_path / "run", classes=100, per_class=100).path
    report.render([path])  # imports
    began = time.process_time()
    text = report.render([path])
    assert time.process_time() - began < 10
    assert len(text) < 15e6


def test_verdicts_of_several_seeds_are_said_to_be_so(two):
    runs = run.read(two)
    pairs = difference.verdicts(runs).pairs
    page = Page(report.render(two, report.Verdicts(pairs, seeds=3), names=[each.name for each in runs]))
    assert "of all 3 seeds as in compare.md, while the figures are of the first" in page.words
    assert "of all 3 seeds" not in Page(report.render(two)).words


@pytest.mark.slow
def test_thousands_of_classes_are_a_small_page(tmp_path):
    path = fake_runs.write(tmp_path / "run", classes=8142, per_class=1, n_max=1000, imbalance=500).path
    text = report.render([path])
    assert len(text.encode()) < 15e6
    assert text.count("<") < 20_000, "elements are few, whatever the number of classes"
    assert "class 8141" in text
