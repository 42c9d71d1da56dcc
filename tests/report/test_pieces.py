"""Pieces of a report, against values worked by hand."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from longtail.metrics import Bin, wilson
from longtail.report import confusions, curves, difference, feature_map, headline, per_class, protocol, reliability
from longtail.report import run as run_reading
from support import fake_runs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_runs.write(tmp_path_factory.mktemp("runs") / "one").path


@pytest.fixture(scope="module")
def read(run):
    return run_reading.read([run])[0]


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "other"
    fake_runs.write(path, method="ce", skill=1.0, seed=3)
    return path


def judged(run, labels, predicted):
    """The run, with other predictions."""
    labels, predicted = np.array(labels), np.array(predicted)
    return replace(run, labels=labels, predicted=predicted, confidences=np.ones(len(labels)), ids=[""] * len(labels))


# Headline.


def test_headline_is_the_summary(read):
    rows = {row.name: row for row in headline.rows([read])}
    s = read.summary
    assert [*rows] == [
        *("Top-1", "Top-5", "Balanced", "Many", "Medium", "Few"),
        *("Head minus tail", "Macro F1", "Worst class", "ECE"),
    ]
    assert rows["Top-1"].cells[0].value == f"{100 * s.top1:.1f} %"
    assert rows["Few"].cells[0].interval == s.intervals["few"]
    assert rows["Few"].cells[0].note == "3 classes"
    assert rows["Worst class"].cells[0].note.startswith(f"{s.worst(1)[0].name}: ")
    assert rows["ECE"].cells[0].interval is None
    assert not any(row.differences or row.best for row in rows.values())


def test_a_figure_that_no_run_has_is_left_out(read):
    few = replace(read, summary=replace(read.summary, top5=None, few=None, head_tail_gap=None))
    assert {"Top-5", "Few", "Head minus tail"}.isdisjoint(row.name for row in headline.rows([few]))


def test_published_figures_stand_beside_those_of_the_test_split_only(read):
    published = read.settings.model_copy(update={"published": run_reading.recipe.Published(top1=0.9, source="a paper")})
    noted = {row.name: row.cells[0].note for row in headline.rows([replace(read, settings=published)])}
    assert noted["Top-1"] == "published: 90.0 %"
    validated = replace(read, settings=published, record={**read.record, "split": "validation"})
    assert headline.rows([validated])[0].cells[0].note == ""


def test_classes_that_cannot_be_measured_are_counted(read):
    half = replace(read.summary, classes_measured=7, group_measured={**read.summary.group_measured, "few": 1})
    rows = {row.name: row for row in headline.rows([replace(read, summary=half)])}
    assert rows["Balanced"].words == "mean recall of the 7 of 10 classes that have images"
    assert rows["Few"].cells[0].note == "1 of 3 classes"


# Comparison.


def test_difference_of_paired_images_by_hand():
    # Class 0: gains 1, 0, 0, 0: mean 1/4, variance 1/4, of the mean 1/16. Class 1: gains -1, 1: mean 0, variance 2, 1.
    gained, labels = np.array([1.0, 0, 0, 0, -1, 1]), np.array([0, 0, 0, 0, 1, 1])
    found = difference.weighted(gained, labels, np.array([0.5, 0.5]))
    half = 1.959963984540054 * (1 / 4 * (1 / 16 + 1)) ** 0.5
    assert found.value == 1 / 8
    assert found.interval == pytest.approx((1 / 8 - half, 1 / 8 + half))
    assert not found.clear


def test_interval_of_a_difference_holds_the_truth():
    rng, hits = np.random.default_rng(0), 0
    labels, weight = np.repeat(np.arange(5), 40), np.full(5, 1 / 5)
    for _ in range(400):
        gained = rng.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.7, 0.2])
        interval = difference.weighted(gained, labels, weight).interval
        assert interval
        hits += interval[0] <= 0.1 <= interval[1]
    assert 0.92 < hits / 400 < 0.98


def test_differences_are_those_of_the_summaries(run, other):
    first, second = run_reading.read([run, other])
    found = difference.differences(first, second)
    for name in ("top1", "balanced_accuracy", "many", "few", "head_tail_gap"):
        assert found[name].value == pytest.approx(getattr(second.summary, name) - getattr(first.summary, name))
        assert found[name].interval is not None
    assert found["macro_f1"].interval is None
    pair = difference.paired(first, second)
    assert pair.both + pair.first == round(first.summary.top1 * first.summary.images)
    assert pair.both + pair.first + pair.other + pair.neither == first.summary.images


def test_a_run_is_no_better_than_itself(read):
    found = difference.differences(read, read)
    assert {each.value for each in found.values()} == {0.0}
    assert found["top1"].interval == (0.0, 0.0)


def test_other_images_are_not_paired_and_other_groups_not_compared(run, tmp_path):
    images = fake_runs.write(tmp_path / "images", data=1).path
    groups = fake_runs.write(tmp_path / "groups", imbalance=5).path
    first, unpaired, regrouped = run_reading.read([run, images, groups])
    assert all(each.interval is None for each in difference.differences(first, unpaired).values())
    assert "few" in difference.differences(first, unpaired)
    assert {"many", "few", "head_tail_gap"}.isdisjoint(difference.differences(first, regrouped))
    assert difference.differences(first, regrouped)["top1"].interval is not None


# Reading.


def test_names_tell_runs_apart(run, other, tmp_path):
    twin = fake_runs.write(tmp_path / "twin", seed=5).path
    again = fake_runs.write(tmp_path / "again", seed=5).path
    assert [each.name for each in run_reading.read([run])] == ["hybrid-psc"]
    assert [each.name for each in run_reading.read([run, other])] == ["hybrid-psc", "ce"]
    assert [each.name for each in run_reading.read([run, twin])] == [f"digits-lt/hybrid-psc, seed {n}" for n in (0, 5)]
    assert [each.name for each in run_reading.read([twin, again])] == [str(twin), str(again)]


# Classes.


def test_every_class_stands_at_its_count_and_recall(read):
    chart = per_class.chart([read])
    results = read.summary.per_class
    assert np.all(np.diff(chart.x[0]) < 0), "classes are made with falling counts"
    heights = np.array(chart.y[0], float)
    recalls = np.array([each.recall for each in results])
    np.testing.assert_allclose(np.polyval(np.polyfit(recalls, heights, 1), recalls), heights, atol=1)
    assert sum(mark.path.count("M") for mark in chart.marks) == 10
    assert {mark.kind for mark in chart.marks} == {"many", "medium", "few"}
    assert [words for words, _ in chart.bounds] == ["few < 20", "many > 100"]
    assert sum(path.count("M") for _, path in chart.whiskers) == 10


def test_classes_in_one_place_are_one_larger_point(read):
    result = read.summary.per_class[0]
    crowd = replace(read.summary, per_class=(result,) * 9 + (read.summary.per_class[9],))
    masks = {group: np.array([group == "many"] * 9 + [group == "few"]) for group in run_reading.GROUPS}
    chart = per_class.chart([replace(read, summary=crowd, masks=masks)])
    assert sorted((mark.kind, mark.size) for mark in chart.marks) == [("few", 8.0), ("many", 24.0)]


def test_a_class_without_images_has_no_point(read):
    result = replace(read.summary.per_class[3], recall=None, recall_interval=None, test_count=0)
    absent = replace(read.summary, per_class=(*read.summary.per_class[:3], result, *read.summary.per_class[4:]))
    chart = per_class.chart([replace(read, summary=absent)])
    assert chart.y[0][3] is None
    assert sum(mark.path.count("M") for mark in chart.marks) == 9


def test_table_says_what_a_class_is_taken_for(read):
    row = per_class.table([judged(read, [0, 0, 0, 1, 2], [1, 2, 2, 1, 0])])["runs"][0]
    assert row["taken"][:3] == [2, None, 0]
    assert row["times"][:3] == [2, None, 1]
    json.dumps(row, allow_nan=False)


# Curves.


def test_curves_are_the_log(read):
    panels = {panel.key: panel for panel in curves.panels([read])}
    assert [*panels] == ["groups", "losses", "alpha", "lr"]
    assert [series.name for series in panels["groups"].series] == ["top-1", "many", "medium", "few"]
    assert [series.name for series in panels["losses"].series] == [
        "loss, what is minimised",
        "contrast",
        "cross-entropy",
    ]
    assert panels["alpha"].series[0].last == "0.05"
    assert panels["losses"].zero is not None, "contrast goes below 0"
    assert panels["groups"].stops[-1][0] == 1000
    assert panels["groups"].stops[0][1].startswith("epoch 1\ntop-1: ")
    assert panels["lr"].series[0].path.startswith("M50 "), "the first of 20 epochs"


def test_long_logs_are_drawn_by_means(read):
    steps = [{"step": n + 1, "epoch": 0, "loss": float(n % 2), "lr": 0.1} for n in range(6000)]
    panels = {panel.key: panel for panel in curves.panels([replace(read, steps=steps, measured=[])])}
    loss = panels["losses"].series[0]
    assert loss.path.count("L") == 299
    assert loss.last == "0.5"
    assert "groups" not in panels


def test_numbers_that_are_none_do_not_break_a_curve(read):
    steps = [{"step": n + 1, "loss": float("nan") if n == 1 else 1.0, "lr": 0.0} for n in range(4)]
    panels = {panel.key: panel for panel in curves.panels([replace(read, steps=steps, measured=[])])}
    assert panels["losses"].series[0].path.count("L") == 2
    assert curves.panels([replace(read, steps=[], measured=[])]) == []


def test_several_runs_share_panels(run, other):
    panels = {panel.key: panel for panel in curves.panels(run_reading.read([run, other]))}
    assert [*panels] == ["top1", "many", "medium", "few", "losses", "alpha", "lr"]
    assert [series.kind for series in panels["few"].series] == ["run0", "run1"]


# Looks.


def test_groups_say_where_wrong_answers_go(read):
    square = confusions.groups(judged(read, [9, 9, 9, 9, 0], [9, 0, 0, 8, 0]))
    assert square.down == ("many", "few"), "no image of a medium class was measured"
    assert [words for _, words in square.rows[1]] == ["1 of 4", "2 of 4", "0 of 4", "1 of 4"]
    assert [share for share, _ in square.rows[0]] == [1, 0, 0, 0]


def test_matrix_is_the_confusion_matrix(read):
    square = confusions.matrix(read)
    assert square
    assert square.down == tuple(f"class {c:04}" for c in range(10))
    diagonal = [int(square.rows[c][c][1].split()[0]) for c in range(10)]
    assert diagonal == [each.correct for each in read.summary.per_class]


def test_looks_have_pictures_where_the_run_kept_some(read):
    found = confusions.mistakes(read)
    assert found
    assert all((look.picture or "").startswith("data:image/webp;base64,") for look in found)
    row = read.shown.mistakes[0]
    assert found[0].name == read.ids[row]
    assert found[0].said == f"class {read.labels[row]:04}, taken for class {read.predicted[row]:04}"
    assert all(look.picture is None for look in confusions.mistakes(replace(read, gallery=None)))


# Reliability.


def test_diagram_by_hand(read):
    bins = (Bin(0, None, None), Bin(4, 0.75, 0.5))
    summary = replace(read.summary, reliability={"all": bins, "few": (Bin(0, None, None),) * 2})
    (diagram,) = reliability.diagrams(summary, key="x")
    assert (diagram.key, diagram.gap) == ("x-all", "25.0 %")
    assert diagram.marks == "M750.0 500.0h0"
    low, high = wilson(2, 4) or (0, 0)
    assert diagram.stops == [
        (750, f"4 images\nconfidence 75.0 %\nright 50.0 % ({100 * low:.1f} to {100 * high:.1f} %)")
    ]


def test_gap_of_all_images_is_the_calibration_error(read):
    diagram = reliability.diagrams(read.summary, key="x")[0]
    assert diagram.gap == f"{100 * read.summary.ece:.1f} %"


# Maps.


def test_maps_hold_every_kept_image_once(read):
    pca, tsne = feature_map.maps(read, key="m")
    assert (pca.title, tsne.title) == ("Principal components", "t-SNE")
    for drawn in (pca, tsne):
        assert sum(spots.path.count("M") for spots in drawn.spots) == len(drawn.x) == 100
        assert drawn.wrong.count("M") == int((read.labels != read.predicted).sum())
        assert min(drawn.x + drawn.y) >= 0 and max(drawn.x + drawn.y) <= 1000
    again, _ = feature_map.maps(read, key="m")
    assert again == pca


def test_components_are_those_of_the_covariance():
    features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    found, share = feature_map.components(features)
    centred = features - features.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found), np.abs(centred @ axes.T), atol=1e-4)
    assert share == pytest.approx(float((values[:2] ** 2).sum() / (values**2).sum()), abs=1e-5)


def test_features_that_are_all_alike_still_make_a_map(read):
    alike = replace(read.gallery, features=np.ones_like(read.gallery.features))
    assert [drawn.title for drawn in feature_map.maps(replace(read, gallery=alike), key="m")] == [
        "Principal components"
    ]
    one = replace(read.gallery, features=read.gallery.features[:, :1])
    assert len(feature_map.maps(replace(read, gallery=one), key="m")) == 2
    assert feature_map.maps(replace(read, gallery=None), key="m") == []


# Background.


def test_protocol_in_words(read):
    assert protocol.protocol(read) == (
        "Last epoch of 20, one seed (0), test split of 100 images. "
        "Trained on 1,236 images of 10 classes, 500 to 5 a class."
    )


def test_protocol_of_a_budget_in_words(read):
    cut = replace(read, settings=read.settings.model_copy(update={"budget": 300.0}))
    assert protocol.protocol(cut).startswith("End of a schedule of 20 epochs, cut to 5m, one seed (0), ")


def test_settings_that_differ_stand_first(run, other):
    table = protocol.settings(run_reading.read([run, other]))
    assert ("seed", ("0", "3")) in table.different
    assert ("method.kind", ("hybrid-psc", "ce")) in table.different
    assert ("epochs", "20") in table.same
    assert not {name for name, _ in table.same} & {name for name, _ in table.different}
    alone = protocol.settings(run_reading.read([run]))
    assert alone.different == []
    assert all(re.fullmatch(r"[a-z0-9_.]+", name) for name, _ in alone.same)
