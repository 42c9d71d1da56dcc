"""What a comparison says: what is called significant, what is not, and in which words."""

from dataclasses import replace

import pytest

from longtail.compare import findings, tables
from longtail.text import MINUS
from support.comparisons import compare, pair, results


def test_a_clear_difference_is_significant_and_the_better_one_is_named() -> None:
    found = compare(results("ce", [0.50, 0.51, 0.52]), results("psc", [0.70, 0.70, 0.72]))
    one = pair(found)
    assert (one.one, one.other) == ("psc", "ce")
    assert one.difference == pytest.approx(0.1967, abs=0.001)
    assert one.significant and one.interval[0] > 0
    (sentence,) = findings.findings(found)
    assert sentence.startswith("psc against ce: top-1 +19.7 points, 95 % interval +")
    assert sentence.endswith(": significant; psc was better")
    turned = compare(results("psc", [0.70, 0.70, 0.72]), results("ce", [0.50, 0.51, 0.52]))
    assert findings.findings(turned)[0].startswith(f"ce against psc: top-1 {MINUS}19.7 points")
    assert findings.findings(turned)[0].endswith(": significant; psc was better")


def test_a_small_difference_is_plainly_not_significant() -> None:
    found = compare(results("la", [0.60, 0.62, 0.61], noise=1), results("psc", [0.62, 0.60, 0.62], noise=2))
    assert not pair(found).significant
    (sentence,) = findings.findings(found)
    assert ": not significant; la was as good, as far as 3 seeds and 400 images can tell" in sentence


def test_equal_results_are_equally_good() -> None:
    found = compare(results("a", [0.6, 0.61]), results("b", [0.6, 0.61]))
    one = pair(found)
    assert (one.difference, one.interval, one.p, one.corrected) == (0, (0, 0), 1, 1)
    (sentence,) = findings.findings(found)
    assert sentence.startswith("b against a: top-1 0.0 points, 95 % interval 0.0 to 0.0, p 1.00: not significant; ")
    assert sentence.endswith("; b and a were equally good, as far as 2 seeds and 400 images can tell")


@pytest.mark.parametrize(("seeds", "words"), [(1, "One seed of each: too few"), (2, "Two seeds of each: too few")])
def test_few_seeds_are_owned_up_to(seeds: int, words: str) -> None:
    found = compare(results("a", [0.5] * seeds), results("b", [0.7] * seeds))
    one = pair(found)
    assert one.seeds is None and one.significant, "the images tell these trainings apart"
    assert findings.notes(found)[0].startswith(words)
    assert "±" not in str(tables.means(found)) or seeds == 2


def test_three_seeds_say_how_little_they_can_tell() -> None:
    notes = findings.notes(compare(results("a", [0.5] * 3), results("b", [0.7] * 3)))
    assert "must be 2.5 times as large as its own standard deviation" in notes[1]
    assert len(notes) == 2, "one pair needs no correction"


def test_a_pair_that_only_the_correction_makes_insignificant_is_not_called_equal() -> None:
    found = compare(results("a", [0.5, 0.5, 0.5]), results("b", [0.55, 0.56, 0.57]))
    one = replace(pair(found), p=0.02, corrected=0.09)
    several = replace(found, pairs=[one] * 6)
    assert findings.finding(several, one).endswith(": not significant among 6 pairs, but would be as the only one")


def test_lower_calibration_error_is_better() -> None:
    found = compare(results("a", [0.9] * 3), results("b", [0.3] * 3))
    one = pair(found, "ece")
    assert one.difference > 0 and one.significant
    assert "a was better" in findings.finding(found, one)


def test_an_uneven_split_is_judged_by_the_mean_over_classes_too() -> None:
    found = compare(results("a", [0.5] * 3, uneven=True), results("b", [0.7] * 3, uneven=True))
    assert [sentence.split(": ")[1].split(" +")[0] for sentence in findings.findings(found)] == ["top-1", "balanced"]
    assert "few" not in found.spreads["a"], "no image of these classes"
    columns, rows = tables.means(found)
    assert "few" not in columns and all(len(row) == len(columns) for row in rows)
