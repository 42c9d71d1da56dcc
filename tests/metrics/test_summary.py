"""The summary against values worked by hand, against scikit-learn, and against what must not change it."""

import dataclasses
import json
import warnings
from typing import Any

import jaxtyping
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from longtail import metrics
from longtail.data.class_counts import Groups
from longtail.metrics import ClassResult, Summary, summarise

# Any, because its annotations allow neither `average=None` nor a number for `zero_division`.
sk: Any = sklearn.metrics

# Class 2 is never predicted; class 3 neither predicted nor in the test.
PROBABILITIES = np.array(
    [
        [0.5, 0.25, 0.125, 0.125],  # right
        [0.25, 0.5, 0.125, 0.125],  # 0 taken for 1
        [0.25, 0.5, 0.125, 0.125],  # right
        [0.125, 0.5, 0.25, 0.125],  # right
        [0.5, 0.125, 0.25, 0.125],  # 2 taken for 0
    ]
)
LOGITS = np.log(PROBABILITIES)
LABELS = np.array([0, 0, 1, 1, 2])
CONFUSION = np.array([[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
TRAIN_COUNTS = np.array([500, 50, 5, 0])
NAMES = ["cat", "lynx", "genet", "serval"]


@pytest.fixture
def shapes_unchecked(monkeypatch):
    """Without jaxtyping, as for users: under it the shape check would be the first to complain."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def summarised(logits, labels, **changes):
    classes = logits.shape[1]
    settings = {"train_counts": np.arange(classes) * 15, "class_names": [f"class {c}" for c in range(classes)]}
    return summarise(logits, labels, **(settings | changes))


def rates(summary, name):
    """One field of all classes, NaN where it is None, as scikit-learn has it."""
    return np.array([getattr(result, name) for result in summary.per_class], dtype=np.float64)


def test_summary_worked_by_hand():
    summary = summarise(LOGITS, LABELS, train_counts=TRAIN_COUNTS, class_names=NAMES)
    half, both, none = metrics.wilson(1, 2), metrics.wilson(2, 2), metrics.wilson(0, 1)
    assert summary.per_class == (
        ClassResult("cat", 500, 2, 1, 2, 1 / 2, 1 / 2, 1 / 2, recall_interval=half, precision_interval=half),
        ClassResult("lynx", 50, 2, 2, 3, 1.0, 2 / 3, 4 / 5, both, precision_interval=metrics.wilson(2, 3)),
        ClassResult(
            "genet", 5, 1, 0, 0, recall=0.0, precision=None, f1=0.0, recall_interval=none, precision_interval=None
        ),
        ClassResult("serval", 0, 0, 0, 0, None, None, f1=None, recall_interval=None, precision_interval=None),
    )
    whole = {name: value for name, value in summary.to_dict().items() if name not in ("per_class", "reliability")}
    # Resampling one of two cats is all the chance there is; metrics that are no shares have no interval without any.
    also = {"top5": None, "hmean_recall": None, "gmean_recall": None, "ece_calibrated": None}
    of_cats = {key: whole["intervals"].pop(key) for key in ("head_tail_gap", "ece", "nll")}
    assert of_cats["head_tail_gap"] == [0.0, 1.0]
    assert of_cats["nll"] == pytest.approx(
        [(3 * np.log(2) + 2 * np.log(4) - np.log(2)) / 5, (3 * np.log(2) + 2 * np.log(4) + np.log(2)) / 5]
    )
    assert whole == {
        "images": 5,
        "classes": 4,
        "classes_measured": 3,
        "top1": 3 / 5,
        "top5": None,
        "balanced_accuracy": (1 / 2 + 1 + 0) / 3,
        "macro_f1": pytest.approx((1 / 2 + 4 / 5 + 0) / 3),
        "hmean_recall": 0.0,
        "gmean_recall": 0.0,
        "many": 1 / 2,
        "medium": 1.0,
        "few": 0.0,
        "head_tail_gap": 1 / 2,
        # Of two cats one is drawn and counts twice; nothing else is left to chance.
        "intervals": {
            "top1": [2 / 5, 4 / 5],
            "macro_f1": [pytest.approx((0 + 2 * 2 / (2 + 4)) / 3), pytest.approx((4 / 5 + 1) / 3)],
            "balanced_accuracy": [pytest.approx(1 / 3), pytest.approx(2 / 3)],
            "many": [0.0, 1.0],
            "medium": list(metrics.wilson(2, 2) or ()),
            "few": list(metrics.wilson(0, 1) or ()),
            "worst_class_recall": list(none or ()),
            **also,
        },
        "group_classes": {"many": 1, "medium": 1, "few": 2},
        "group_measured": {"many": 1, "medium": 1, "few": 1},
        "group_bounds": {"many": 100, "few": 20},
        "worst_class_recall": 0.0,
        "worst_class": "genet",
        "ece": pytest.approx(0.6 - 0.5),
        "nll": pytest.approx((3 * np.log(2) + 2 * np.log(4)) / 5),
        "temperature": None,
        "ece_calibrated": None,
    }


def test_functions_worked_by_hand():
    assert metrics.softmax(LOGITS) == pytest.approx(PROBABILITIES)
    assert metrics.top_k_accuracy(LOGITS, LABELS, 1) == 3 / 5
    assert metrics.top_k_accuracy(LOGITS, LABELS, 2) == 1.0
    assert metrics.confusion(LABELS, LOGITS.argmax(1), 4).tolist() == CONFUSION.tolist()
    np.testing.assert_array_equal(metrics.recalls(CONFUSION), [0.5, 1, 0, np.nan])
    assert metrics.macro_f1(CONFUSION) == pytest.approx(1.3 / 3)
    assert metrics.expected_calibration_error(PROBABILITIES, LABELS) == pytest.approx(0.1)
    assert metrics.negative_log_likelihood(LOGITS, LABELS) == pytest.approx(1.4 * np.log(2))


def test_top_five_counts_the_fifth_and_not_the_sixth():
    logits = np.array([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]] * 2)
    assert summarised(logits, np.array([4, 5])).top5 == 0.5
    assert summarised(logits[:, :5], np.array([4, 4])).top5 is None


def test_lower_class_wins_a_tie():
    logits = np.zeros((3, 3))
    assert [metrics.top_k_accuracy(logits, np.arange(3), k) for k in (1, 2, 3)] == [1 / 3, 2 / 3, 1.0]
    assert [result.predicted for result in summarised(logits, np.arange(3)).per_class] == [3, 0, 0]


def test_confidence_on_an_edge_belongs_to_the_lower_bin():
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25]])  # bins (0, 0.5] and (0.5, 1]
    # One bin would let the two gaps cancel: (0.5 + 0.75) / 2 against 1 right of 2.
    assert metrics.expected_calibration_error(probabilities, np.array([0, 1]), 2) == (0.5 + 0.75) / 2
    assert metrics.expected_calibration_error(probabilities, np.array([0, 1]), 1) == pytest.approx(0.625 - 0.5)


@pytest.mark.parametrize("bins", [1, 2, 10, 15])
def test_calibration_is_the_sum_written_out(bins):
    rng = np.random.default_rng(bins)
    probabilities = metrics.softmax(3 * rng.standard_normal((200, 4)))
    labels = rng.integers(0, 4, 200)
    total = 0.0
    for lower, upper in zip(np.linspace(0, 1, bins + 1)[:-1], np.linspace(0, 1, bins + 1)[1:], strict=True):
        inside = [n for n in range(200) if lower < probabilities[n].max() <= upper]
        if inside:
            accuracy = np.mean([probabilities[n].argmax() == labels[n] for n in inside])
            total += len(inside) / 200 * abs(accuracy - np.mean([probabilities[n].max() for n in inside]))
    assert metrics.expected_calibration_error(probabilities, labels, bins) == pytest.approx(total)
    if bins == 15:
        assert summarised(np.log(probabilities), labels).ece == pytest.approx(total)


rng = np.random.default_rng(0)
CASES = {
    "random": (rng.standard_normal((300, 8)), rng.integers(0, 8, 300)),
    "float32": (rng.standard_normal((300, 8), dtype=np.float32), rng.integers(0, 8, 300)),
    "float16, int8": (rng.standard_normal((300, 8)).astype(np.float16), rng.integers(0, 8, 300).astype(np.int8)),
    "two classes": (rng.standard_normal((50, 2)), rng.integers(0, 2, 50)),
    "one class": (np.zeros((5, 1)), np.zeros(5, dtype=np.int64)),
    "one image": (rng.standard_normal((1, 7)), np.array([3])),
    "one class in the test": (rng.standard_normal((40, 7)), np.full(40, 6)),
    "absent classes": (rng.standard_normal((40, 30)), rng.choice([0, 3, 29], 40)),
    "one never predicted": (rng.standard_normal((100, 7)) - 10 * (np.arange(7) == 2), rng.integers(0, 7, 100)),
    "one always predicted": (rng.standard_normal((60, 7)) + 10 * (np.arange(7) == 4), rng.integers(0, 7, 60)),
    "ties": (rng.integers(0, 3, (200, 9)).astype(np.float32), rng.integers(0, 9, 200)),
    "several blocks": (rng.standard_normal((200, 2000), dtype=np.float32), rng.integers(0, 2000, 200)),
}


@pytest.mark.parametrize(("logits", "labels"), CASES.values(), ids=CASES)
def test_agrees_with_scikit_learn(logits, labels):
    classes = logits.shape[1]
    summary = summarised(logits, labels)
    predicted = logits.argmax(1)
    everything, present = np.arange(classes), np.unique(labels)
    matrix = metrics.confusion(labels, predicted, classes)
    with warnings.catch_warnings():
        # It warns of absent classes and of single ones, which are what is tested here.
        warnings.simplefilter("ignore")
        expected = {
            "confusion": sk.confusion_matrix(labels, predicted, labels=everything),
            "top1": sk.accuracy_score(labels, predicted),
            "balanced": sk.balanced_accuracy_score(labels, predicted),
            "macro_f1": sk.f1_score(labels, predicted, average="macro", labels=present, zero_division=0),
            "f1": sk.f1_score(labels, predicted, average=None, labels=present, zero_division=0),
            "recall": sk.recall_score(labels, predicted, average=None, labels=everything, zero_division=np.nan),
            "precision": sk.precision_score(labels, predicted, average=None, labels=everything, zero_division=np.nan),
        }
    np.testing.assert_array_equal(matrix, expected["confusion"])
    assert summary.top1 == metrics.top_k_accuracy(logits, labels, 1) == expected["top1"]
    assert summary.balanced_accuracy == pytest.approx(expected["balanced"])
    assert summary.macro_f1 == metrics.macro_f1(matrix) == pytest.approx(expected["macro_f1"])
    assert rates(summary, "f1")[present] == pytest.approx(expected["f1"])
    np.testing.assert_allclose(rates(summary, "recall"), expected["recall"])
    np.testing.assert_array_equal(rates(summary, "recall"), metrics.recalls(matrix))
    np.testing.assert_allclose(rates(summary, "precision"), expected["precision"])
    assert summary.worst_class_recall == np.nanmin(expected["recall"])


# With fewer classes there is no top 5, and scikit-learn wants other shapes.
MANY_CLASSES = {name: case for name, case in CASES.items() if case[0].shape[1] > 5}


@pytest.mark.parametrize(("logits", "labels"), MANY_CLASSES.values(), ids=MANY_CLASSES)
def test_ranking_and_likelihood_agree_with_scikit_learn(logits, labels):
    classes = logits.shape[1]
    summary = summarised(logits, labels)
    for k in range(2, 6):
        # In scikit-learn the higher class wins a tie, so it sees the classes in reverse.
        expected = sk.top_k_accuracy_score(classes - 1 - labels, logits[:, ::-1], k=k, labels=np.arange(classes))
        assert metrics.top_k_accuracy(logits, labels, k) == expected
    assert summary.top5 == metrics.top_k_accuracy(logits, labels, 5)
    expected = sk.log_loss(labels, metrics.softmax(logits), labels=np.arange(classes))
    assert summary.nll == metrics.negative_log_likelihood(logits, labels) == pytest.approx(expected)


def assert_same_apart_from_classes(one, other):
    for field in dataclasses.fields(Summary):
        if field.name not in ("per_class", "intervals", "reliability"):
            assert getattr(one, field.name) == pytest.approx(getattr(other, field.name)), field.name


def assert_same_intervals(one, other, **tolerance):
    for name, interval in one.intervals.items():
        assert other.intervals[name] == pytest.approx(interval, **tolerance), name


def test_order_of_images_does_not_matter():
    rng = np.random.default_rng(1)
    logits, labels, order = rng.standard_normal((500, 9)), rng.integers(0, 9, 500), rng.permutation(500)
    one, other = summarised(logits, labels), summarised(logits[order], labels[order])
    assert_same_apart_from_classes(one, other)
    assert one.per_class == other.per_class
    assert_same_intervals(one, other)


def test_numbering_of_classes_does_not_matter():
    rng = np.random.default_rng(2)
    logits, labels, order = rng.standard_normal((500, 9)), rng.integers(0, 9, 500), rng.permutation(9)
    counts, names = np.arange(9) * 15, np.array([f"class {c}" for c in range(9)])
    one = summarised(logits, labels)
    renamed = np.argsort(order)[labels]  # class order[c] becomes class c
    other = summarised(logits[:, order], renamed, train_counts=counts[order], class_names=names[order].tolist())
    assert_same_apart_from_classes(one, other)
    assert other.per_class == tuple(one.per_class[c] for c in order)
    assert_same_intervals(one, other, abs=0.03)  # chance falls on other classes
    assert [each.images for each in other.reliability["few"]] == [each.images for each in one.reliability["few"]]


def test_adding_a_number_to_a_row_does_not_matter():
    rng = np.random.default_rng(3)
    # Whole numbers and multiples of 2**10, so that the sum itself rounds nothing away.
    logits, labels = rng.integers(-8, 8, (500, 9)).astype(np.float32), rng.integers(0, 9, 500)
    shifted = logits + 2**10 * rng.integers(-1000, 1000, (500, 1)).astype(np.float32)
    assert summarised(logits, labels) == summarised(shifted, labels)
    assert (metrics.softmax(logits) == metrics.softmax(shifted)).all()


def test_huge_logits_do_not_overflow():
    logits = np.array([[3e38, -3e38], [-3e38, -3e38]], dtype=np.float32)
    assert metrics.softmax(logits).tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert summarised(logits, np.array([1, 1])).nll == pytest.approx((6e38 + np.log(2)) / 2)


def test_groups_follow_their_bounds_and_what_is_measured():
    counts = np.array([101, 100, 20, 19, 0, 1000])
    logits, labels = np.eye(6)[[0, 0, 2, 3, 0]], np.array([0, 1, 2, 3, 4])
    summary = summarised(logits, labels, train_counts=counts)
    assert (summary.many, summary.medium, summary.few) == (1.0, 0.5, 0.5)
    assert summary.group_classes == {"many": 2, "medium": 2, "few": 2}
    summary = summarised(logits, labels, train_counts=counts, groups=Groups(many=500, few=10))
    assert (summary.many, summary.medium, summary.few) == (None, 3 / 4, 0.0)
    assert summary.group_classes == {"many": 1, "medium": 4, "few": 1}
    assert summary.group_bounds == {"many": 500, "few": 10}


def test_first_of_equally_bad_classes_is_the_worst():
    summary = summarised(np.eye(3)[[0, 0, 0]], np.array([0, 2, 1]))
    assert (summary.worst_class, summary.worst_class_recall) == ("class 1", 0.0)


def test_worst_classes_come_first_and_absent_ones_never():
    tests, hits = [4, 0, 4, 2, 1], [4, 0, 1, 0, 0]
    labels = np.repeat(np.arange(5), tests)
    rank = np.concatenate([np.arange(n) for n in tests])
    predicted = np.where(rank < np.array(hits)[labels], labels, 1)
    summary = summarised(np.eye(5)[predicted], labels, train_counts=np.array([500, 50, 30, 19, 0]))
    assert [result.name for result in summary.worst(3)] == ["class 3", "class 4", "class 2"]
    assert summary.worst(1)[0].name == summary.worst_class
    assert len(summary.worst(9)) == summary.classes_measured == 4
    assert (summary.group_classes, summary.group_measured) == (
        {"many": 1, "medium": 2, "few": 2},
        {"many": 1, "medium": 1, "few": 2},
    )
    assert [summary.group_of(result) for result in summary.per_class] == ["many", "medium", "medium", "few", "few"]
    assert summary.head_tail_gap == 1.0
    assert summarised(np.eye(2), np.array([0, 1]), train_counts=np.array([500, 50])).head_tail_gap is None
    assert summarised(np.eye(3)[[0, 0, 1]], np.array([0, 1, 1])).hmean_recall == pytest.approx(2 / 3)
    assert summarised(np.eye(3)[[0, 0, 1]], np.array([0, 1, 1])).gmean_recall == pytest.approx(np.sqrt(1 / 2))


def test_what_an_earlier_version_wrote_is_read_and_what_it_lacks_was_not_measured():
    summary = summarised(LOGITS, LABELS)
    old = summary.to_dict()
    for name in ("reliability", "gmean_recall", "ece_calibrated", "temperature", "group_measured"):
        del old[name]
    old["intervals"] = {name: old["intervals"][name] for name in ("top1", "few")}
    for each in old["per_class"]:
        del each["precision_interval"]
    read = Summary.from_dict(old)
    assert (read.top1, read.few, read.worst_class) == (summary.top1, summary.few, summary.worst_class)
    assert read.figures["gmean_recall"] is None
    assert read.intervals == dict.fromkeys(summary.intervals) | {
        name: summary.intervals[name] for name in ("top1", "few", "worst_class_recall")
    }
    assert read.per_class[0].recall_interval == summary.per_class[0].recall_interval
    assert read.per_class[0].precision_interval is None
    with pytest.raises(ValueError, match="gmean_recall was not measured by the version that wrote this summary"):
        _ = read.gmean_recall
    assert Summary.from_dict(read.to_dict()) == read


def test_what_a_later_version_wrote_is_read_without_what_is_not_known_here():
    summary = summarised(LOGITS, LABELS)
    new = summary.to_dict() | {"third_quartile": 0.9, "cost": {"of": [1, 2]}}
    new["intervals"] = new["intervals"] | {"third_quartile": [0.8, 1.0]}
    new["per_class"] = [each | {"specificity": 0.5} for each in new["per_class"]]
    new["reliability"] = {name: [each | {"spread": 0.1} for each in bins] for name, bins in new["reliability"].items()}
    assert Summary.from_dict(new) == summary


def with_value(row, column, value):
    logits = LOGITS.copy()
    logits[row, column] = value
    return logits


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: summarised(LOGITS[:0], LABELS[:0]), "labels has no image"),
        (lambda: summarised(LOGITS, np.array([0, 0, 4, 1, 2])), r"labels\[2\] is 4; it must be at least 0 and below 4"),
        (lambda: summarised(LOGITS, np.array([0, -1, 0, 1, 2])), r"labels\[1\] is -1"),
        (lambda: summarised(LOGITS, LABELS[:4]), r"logits and labels have shapes \(5, 4\) and \(4,\)"),
        (lambda: summarised(with_value(3, 1, np.nan), LABELS), r"logits\[3, 1\] is nan; it must be a finite number"),
        (lambda: summarised(with_value(4, 0, -np.inf), LABELS), r"logits\[4, 0\] is -inf"),
        (lambda: summarised(LOGITS, LABELS, train_counts=TRAIN_COUNTS[:3]), "train_counts has length 3; it must be 4"),
        (lambda: summarised(LOGITS, LABELS, class_names=[*NAMES, "lion"]), "class_names has length 5; it must be 4"),
        (lambda: metrics.top_k_accuracy(LOGITS, LABELS, 0), "k is 0; it must be at least 1 and at most 4"),
        (lambda: metrics.top_k_accuracy(LOGITS, LABELS, 5), "k is 5"),
        (lambda: metrics.top_k_accuracy(np.zeros(4), LABELS, 1), r"shapes \(4,\) and \(5,\); need \(N, C\) and \(N,\)"),
        (lambda: metrics.negative_log_likelihood(LOGITS, LABELS + 2), r"labels\[4\] is 4"),
        (lambda: metrics.softmax(with_value(0, 0, np.inf)), r"logits\[0, 0\] is inf"),
        (lambda: metrics.confusion(LABELS, LABELS[:2], 4), r"predicted has shape \(2,\)"),
        (lambda: metrics.confusion(LABELS, LABELS - 1, 4), r"predicted\[0\] is -1"),
        (lambda: metrics.recalls(CONFUSION[:2]), r"confusion has shape \(2, 4\); it must be \(C, C\)"),
        (lambda: metrics.macro_f1(0 * CONFUSION), "confusion counts no image"),
        (lambda: metrics.expected_calibration_error(PROBABILITIES, LABELS, 0), "bins is 0; it must be at least 1"),
        (lambda: metrics.expected_calibration_error(LOGITS, LABELS), r"probabilities\[0\] has lowest value -2"),
        (lambda: metrics.expected_calibration_error(PROBABILITIES / 2, LABELS), r"and sum 0.5; it must .* sum to 1"),
        (lambda: Summary.from_dict({"top1": 1.0}), "it has no images, so it holds no results"),
    ],
)
@pytest.mark.usefixtures("shapes_unchecked")
def test_errors_name_the_thing_the_value_and_what_is_allowed(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_first_bad_row_is_named_also_beyond_the_first_block():
    logits = np.zeros((200, 2000), dtype=np.float32)
    logits[150, 7] = logits[199, 0] = np.nan
    with pytest.raises(ValueError, match=r"logits\[150, 7\] is nan"):
        summarised(logits, np.zeros(200, dtype=np.int64))


@st.composite
def predictions(draw):
    """Arguments of `summarise`, not its result: beartype draws random numbers, which hypothesis forbids in here."""
    images, classes = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    return {
        "logits": draw(hnp.arrays(np.float32, (images, classes), elements=st.floats(-100, 100, width=32))),
        "labels": draw(hnp.arrays(np.int64, images, elements=st.integers(0, classes - 1))),
        "train_counts": draw(hnp.arrays(np.int64, classes, elements=st.integers(0, 300))),
        "class_names": draw(st.lists(st.text(), min_size=classes, max_size=classes)),
    }


@given(predictions())
def test_json_gives_the_same_summary_back(arguments):
    summary = summarise(**arguments)
    read = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert read == summary.to_dict()
    assert Summary.from_dict(read) == summary


@given(predictions())
def test_every_number_is_in_its_range(arguments):
    summary = summarise(**arguments)
    fractions = [summary.top1, summary.top5, summary.balanced_accuracy, summary.macro_f1, summary.ece]
    fractions += [summary.many, summary.medium, summary.few, summary.worst_class_recall]
    assert all(value is None or 0 <= value <= 1 for value in fractions)
    assert summary.nll >= 0
    assert sum(result.test_count for result in summary.per_class) == summary.images
    assert sum(result.predicted for result in summary.per_class) == summary.images
    assert sum(summary.group_classes.values()) == summary.classes
