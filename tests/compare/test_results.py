"""Comparisons: what is called significant, what is not, and in which words."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from longtail import metrics
from longtail.compare import results as comparison
from longtail.compare.results import Comparison, Results
from longtail.data.class_counts import Groups
from longtail.metrics.significance import Outcomes

COUNTS = np.array([500, 120, 60, 10, 3])
GROUPS = Groups().masks(COUNTS)


def results(name: str, skill: list[float], *, images: int = 400, noise: int = 0, uneven: bool = False) -> Results:
    """A method that recognises so large a share of the images, for each seed."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) % (3 if uneven else 5)
    if uneven:
        labels[: images // 2] = 0
    hard = rng.permuted(np.arange(images))  # some images are harder than others, for every method
    logits = []
    for seed, share in enumerate(skill):
        each = np.zeros((images, 5))
        each[np.arange(images), (labels + 1) % 5] = 2.0
        right = (hard + np.random.default_rng([noise, seed]).integers(0, 40 * (noise > 0) + 1, images)) < share * images
        each[right] = 0
        each[right, labels[right]] = 2.0
        logits.append(each)
    summaries = [metrics.summarise(each, labels, train_counts=COUNTS, class_names=list("abcde")) for each in logits]
    confidences = np.array([metrics.softmax(each).max(1) for each in logits])
    return Results(name, summaries, Outcomes(labels, np.array(logits).argmax(2), confidences), seconds=90.0)


def compare(*several: Results) -> Comparison:
    seeds = range(len(several[0].summaries))
    return comparison.compare(several, seeds=seeds, split="test", groups=GROUPS, resamples=500)


def pair(found: Comparison, metric: str = "top1") -> comparison.Pair:
    (one,) = (each for each in found.pairs if each.metric == metric)
    return one


def test_a_clear_difference_is_significant_and_the_better_one_is_named() -> None:
    found = compare(results("ce", [0.50, 0.51, 0.52]), results("psc", [0.70, 0.70, 0.72]))
    one = pair(found)
    assert (one.one, one.other) == ("psc", "ce")
    assert one.difference == pytest.approx(0.1967, abs=0.001)
    assert one.significant and one.interval[0] > 0
    (sentence,) = found.findings()
    assert sentence.startswith("psc against ce: top-1 +19.7 points, 95 % interval +")
    assert sentence.endswith(": significant; psc was better")
    turned = compare(results("psc", [0.70, 0.70, 0.72]), results("ce", [0.50, 0.51, 0.52]))
    assert turned.findings()[0].startswith("ce against psc: top-1 -19.7 points")
    assert turned.findings()[0].endswith(": significant; psc was better")


def test_a_small_difference_is_plainly_not_significant() -> None:
    found = compare(results("la", [0.60, 0.62, 0.61], noise=1), results("psc", [0.62, 0.60, 0.62], noise=2))
    assert not pair(found).significant
    (sentence,) = found.findings()
    assert ": not significant; la was as good, as far as 3 seeds and 400 images can tell" in sentence


def test_equal_results_are_equally_good() -> None:
    found = compare(results("a", [0.6, 0.61]), results("b", [0.6, 0.61]))
    one = pair(found)
    assert (one.difference, one.interval, one.p, one.corrected) == (0, (0, 0), 1, 1)
    (sentence,) = found.findings()
    assert sentence.startswith("b against a: top-1 0.0 points, 95 % interval 0.0 to 0.0, p 1.00: not significant; ")
    assert sentence.endswith("; b and a were equally good, as far as 2 seeds and 400 images can tell")


def test_seeds_that_disagree_outweigh_many_images() -> None:
    found = compare(results("a", [0.4, 0.6, 0.5]), results("b", [0.7, 0.6, 0.5]))
    one = pair(found)
    assert one.seeds is not None and one.images is not None
    assert one.images.p < 0.05 < one.seeds.p == one.p
    assert one.interval == (one.seeds.low, one.seeds.high)
    assert "not significant; these trainings differ, but too unevenly from seed to seed" in found.findings()[0]


def test_images_that_are_few_outweigh_seeds_that_agree() -> None:
    found = compare(results("a", [0.5, 0.5, 0.5], images=20), results("b", [0.55, 0.55, 0.55], images=20))
    one = pair(found)
    assert one.seeds is not None and one.images is not None
    assert one.seeds.p == 0 and one.images.p > 0.05
    assert not one.significant


@pytest.mark.parametrize(("seeds", "words"), [(1, "One seed of each: too few"), (2, "Two seeds of each: too few")])
def test_few_seeds_are_owned_up_to(seeds: int, words: str) -> None:
    found = compare(results("a", [0.5] * seeds), results("b", [0.7] * seeds))
    one = pair(found)
    assert one.seeds is None and one.significant, "the images tell these trainings apart"
    assert found.notes()[0].startswith(words)
    assert "±" not in str(found.table()) or seeds == 2


def test_three_seeds_say_how_little_they_can_tell() -> None:
    notes = compare(results("a", [0.5] * 3), results("b", [0.7] * 3)).notes()
    assert "must be 2.5 times as large as its own standard deviation" in notes[1]
    assert len(notes) == 2, "one pair needs no correction"


def test_pairs_are_corrected_for_their_number() -> None:
    found = compare(*(results(name, [share] * 3, noise=n + 1) for n, (name, share) in enumerate(SIX.items())))
    of_top1 = [each for each in found.pairs if each.metric == "top1"]
    assert len(of_top1) == 6
    assert all(each.corrected >= each.p for each in of_top1)
    smallest = min(of_top1, key=lambda each: each.p)
    assert smallest.corrected == pytest.approx(min(1, 6 * smallest.p))
    assert "corrected for 6 pairs (Holm)" in found.notes()[-1]


def test_a_pair_that_only_the_correction_makes_insignificant_is_not_called_equal() -> None:
    found = compare(results("a", [0.5, 0.5, 0.5]), results("b", [0.55, 0.56, 0.57]))
    one = replace(pair(found), p=0.02, corrected=0.09)
    several = replace(found, pairs=[one] * 6)
    assert several._finding(one).endswith(": not significant among 6 pairs, but would be as the only one")


SIX = {"a": 0.5, "b": 0.55, "c": 0.6, "d": 0.61}


def test_lower_calibration_error_is_better() -> None:
    found = compare(results("a", [0.9] * 3), results("b", [0.3] * 3))
    one = pair(found, "ece")
    assert one.difference > 0 and one.significant
    assert "a was better" in found._finding(one)


def test_an_uneven_split_is_judged_by_the_mean_over_classes_too() -> None:
    found = compare(results("a", [0.5] * 3, uneven=True), results("b", [0.7] * 3, uneven=True))
    assert [sentence.split(": ")[1].split(" +")[0] for sentence in found.findings()] == ["top-1", "balanced"]
    assert "few" not in found.spreads["a"], "no image of these classes"
    columns, rows = found.table()
    assert "few" not in columns and all(len(row) == len(columns) for row in rows)


def test_one_method_has_a_table_and_no_findings() -> None:
    found = compare(results("a", [0.5, 0.6]))
    assert not found.pairs and not found.findings()
    assert found.table()[1][0][:2] == ["a", "55.0 ± 7.1"]
    assert found.to_markdown(["Seeds: 0."]).count("|") > 10


def test_it_is_written_as_json_csv_and_markdown() -> None:
    found = compare(results("a|b", [0.5, 0.51, 0.52]), results("c", [0.7, 0.7, 0.7]))
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["seeds"] == [0, 1, 2] and read["images"] == 400
    top1 = read["methods"]["c"]["metrics"]["top1"]
    assert (top1["mean"], top1["sd"], top1["values"]) == (pytest.approx(0.7), pytest.approx(0), [0.7] * 3)
    assert read["pairs"][0]["significant"] is True
    assert read["findings"] == found.findings()
    rows = list(csv.DictReader(found.to_csv().splitlines()))
    assert {row["recipe"] for row in rows} == {"a|b", "c"}
    assert float(rows[0]["mean"]) == pytest.approx(0.51)
    page = found.to_markdown(["Seeds: 0, 1, 2."])
    assert page.startswith("# Comparison\n\n- Seeds: 0, 1, 2.\n\n| recipe | top-1 |")
    assert "| a\\|b | 51.0 ± 1.0 |" in page
    tables = [line for line in page.replace("\\|", "").splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {len(found.table()[0]) + 1, 7}
