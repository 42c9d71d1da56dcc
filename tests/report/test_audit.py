"""The page of an audit: whole without a network, true to the audit, and safe whatever is in names."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail.data import sources
from longtail.data.audit import audit
from longtail.planning.cost import Cost
from longtail.planning.preflight import Preflight
from longtail.planning.recommend import Choice, Recommendation
from longtail.report import audit as page_of_audit
from support import messy_data


def preflight(path):
    listing = sources.read(path)
    advice = Recommendation(Choice("own/small", "small"), {"epochs": Choice(20, "because <of> it")})
    found = audit.audit(listing)
    return Preflight(path, listing, sources.describe(listing), found, advice, Cost(90, 10**9, 10**6, 200, "cpu"))


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    return preflight(messy_data.write_folder(tmp_path_factory.mktemp("data") / "untidy").root)


class Page(HTMLParser):
    """Text, addresses that would be loaded, and whether every element ends."""

    def __init__(self, page):
        super().__init__()
        self.words, self.addresses, self.open = "", [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in ("meta", "img", "line", "path", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("line", "path"):
            return
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_page_needs_no_network(checked):
    text = page_of_audit.render(checked, command="longtail train birds")
    page = Page(text)
    assert page.open == []
    assert page.addresses
    assert all(address.startswith("data:image/webp;base64,") for address in page.addresses)
    assert not re.search(r"https?://|@import|url\(", text)


def test_page_says_what_the_audit_found(checked):
    words = " ".join(Page(page_of_audit.render(checked, command="longtail train birds")).words.split())
    for finding in checked.audit.findings:
        assert finding.title in words
        for line in finding.in_words()[:12]:
            assert " ".join(line.split()) in words
    assert "longtail train birds" in words
    assert "epochs=20: because <of> it" in words
    assert "about 1.5 minutes for 200 steps" in words


def test_page_shows_what_is_alike(checked):
    text = page_of_audit.render(checked, command="")
    sets = [item for finding in checked.audit.findings for item in finding.items if "alike" in item]
    assert text.count("<img ") == sum(len(item["images"]) for item in sets)


def test_long_lists_are_cut_with_a_word_about_it(checked):
    finding = next(each for each in checked.audit.findings if each.kind == "unreadable")
    many = replace(finding, items=finding.items[:1] * 40)
    page = Page(page_of_audit.render(replace(checked, audit=replace(checked.audit, findings=(many,))), command=""))
    assert page.words.count("kingfisher/") < 40
    assert "And 28 more" in page.words


def test_names_cannot_break_the_page(tmp_path):
    for name in ("<script>alert(1)</script>".replace("/", "\u2215"), 'a"b&c', "wren"):
        (tmp_path / name).mkdir()
        Image.fromarray(messy_data.scene(0, seed=1)).save(tmp_path / name / "<b>.png")
    text = page_of_audit.render(preflight(tmp_path), command="longtail train '<x>'")
    assert "<script" not in text
    assert "<b>" not in text
    assert "<x>" not in text
    assert Page(text).open == []


def test_without_anything_to_train_on_there_is_no_advice(checked):
    text = page_of_audit.render(replace(checked, recommendation=None, cost=None), command="longtail train birds")
    assert "longtail train birds" not in text


@pytest.mark.parametrize("classes", [2, 30, 5000])
def test_curve_falls_from_the_largest_class_to_the_smallest(checked, classes):
    sizes = np.random.default_rng(classes).permutation(np.arange(classes) * 3).tolist()
    names = [f"class {size}" for size in sizes]
    many = replace(checked.audit, classes=dict(zip(names, sizes, strict=True)), parts={"train": sizes, "test": sizes})
    text = page_of_audit.render(replace(checked, audit=many), command="")
    path = next(iter(re.findall(r'<path d="M0,100(.*?)V100Z"', text)))
    heights, ends = np.array(re.findall(r"V([\d.]+)H([\d.]+)", path), float).T
    assert np.all(np.diff(heights) >= 0)
    assert np.all(np.diff(ends) > 0)
    assert ends[-1] == 100
    assert 0 < heights[0] < heights[-1] <= 100
    assert len(heights) <= 2000
    words = Page(text).words
    assert f"class {3 * (classes - 1)}: {3 * (classes - 1):,}" in words
    assert "class 0: 0" in words
    assert text.count("<tr>") <= 1001


def test_templates_are_part_of_the_package():
    folder = Path(page_of_audit.__file__).parent / "templates"
    assert {each.name for each in folder.iterdir()} >= {"page.html", "audit.html"}
