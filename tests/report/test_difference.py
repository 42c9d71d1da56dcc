"""Differences between runs: the same verdict as that of a comparison."""

import pytest

from longtail.compare import compare, runner
from longtail.report import difference
from longtail.report import run as run_reading
from support import fake_runs


def of(first, *others):
    """Differences of each other run to the first."""
    verdicts = difference.verdicts([first, *others])
    return [difference.differences(first, other, verdicts) for other in others]


def test_differences_are_those_of_the_summaries(run, other):
    first, second = run_reading.read([run, other])
    (found,) = of(first, second)
    assert found.keys() == {key for key, value in first.summary.figures.items() if value is not None}
    for key, each in found.items():
        before, after = (one.summary.figures[key] for one in (first, second))
        assert before is not None and after is not None
        assert each.value == pytest.approx(after - before), key
        assert (each.interval is None) == (key == "worst_class_recall"), key
    pair = difference.paired(first, second)
    assert pair.both + pair.first == round(first.summary.top1 * first.summary.images)
    assert pair.both + pair.first + pair.other + pair.neither == first.summary.images


def test_a_run_is_no_better_than_its_copy(run, tmp_path):
    first, second = run_reading.read([run, fake_runs.write(tmp_path / "copy").path])
    (found,) = of(first, second)
    assert {each.value for each in found.values()} == {0.0}
    assert found["top1"].interval == (0.0, 0.0)
    assert not any(each.significant for each in found.values())


def test_other_images_are_not_paired_and_other_groups_not_compared(run, tmp_path):
    images = fake_runs.write(tmp_path / "images", data=1).path
    groups = fake_runs.write(tmp_path / "groups", imbalance=5).path
    unpaired, regrouped = of(*run_reading.read([run, images, groups]))
    assert all(each.interval is None for each in unpaired.values())
    assert "few" in unpaired
    assert {"many", "few", "head_tail_gap"}.isdisjoint(regrouped)
    assert regrouped["top1"].interval is not None


def test_a_comparison_and_a_page_give_the_same_verdict(tmp_path):
    planned = runner.plan(["digits-lt/ce", "digits-lt/hybrid-sc", "digits-lt/hybrid-psc"], [0], tmp_path)
    for training, skill in zip(planned, (1.0, 1.4, 2.0), strict=True):
        fake_runs.write(training.out, method=training.recipe.partition("/")[2], skill=skill, per_class=30)
    found = compare.read(planned)
    runs = run_reading.read([training.out for training in planned])
    for other, differences in zip(runs[1:], of(*runs), strict=True):
        for pair in found.pairs:
            if (pair.one, pair.other) == (other.name, "ce"):
                mine = differences[pair.metric]
                assert (mine.value, mine.interval, mine.significant) == (
                    pair.difference,
                    pair.interval,
                    pair.significant,
                )
    assert {pair.significant for pair in found.pairs} == {True, False}


def test_verdicts_of_several_seeds_go_before_those_of_the_first(run, other):
    first, second = run_reading.read([run, other], names=["a", "b"])
    (pair, *_) = difference.verdicts([first, second]).pairs
    found = difference.differences(first, second, difference.Verdicts([pair], seeds=3))
    assert found[pair.metric].interval == pair.interval
    assert found["nll"].interval is None
