"""What counts as a difference between methods."""

import pytest

from longtail.compare import findings
from support.comparisons import SIX, compare, pair, results


def test_seeds_that_disagree_outweigh_many_images() -> None:
    found = compare(results("a", [0.4, 0.6, 0.5]), results("b", [0.7, 0.6, 0.5]))
    one = pair(found)
    assert one.seeds is not None and one.images is not None
    assert one.images.p < 0.05 < one.seeds.p == one.p
    assert one.interval == (one.seeds.low, one.seeds.high)
    assert "not significant; these trainings differ, but too unevenly from seed to seed" in findings.findings(found)[0]


def test_images_that_are_few_outweigh_seeds_that_agree() -> None:
    found = compare(results("a", [0.5, 0.5, 0.5], images=20), results("b", [0.55, 0.55, 0.55], images=20))
    one = pair(found)
    assert one.seeds is not None and one.images is not None
    assert one.seeds.p == 0 and one.images.p > 0.05
    assert not one.significant


def test_pairs_are_corrected_for_their_number() -> None:
    found = compare(*(results(name, [share] * 3, noise=n + 1) for n, (name, share) in enumerate(SIX.items())))
    of_top1 = [each for each in found.pairs if each.metric == "top1"]
    assert len(of_top1) == 6
    assert all(each.corrected >= each.p for each in of_top1)
    smallest = min(of_top1, key=lambda each: each.p)
    assert smallest.corrected == pytest.approx(min(1, 6 * smallest.p))
    assert "corrected for 6 pairs (Holm)" in findings.notes(found)[-1]
