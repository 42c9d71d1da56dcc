"""Axes: places worked by hand, and round values."""

import pytest

from longtail.report.svg import Linear, Log, Tick, dots, line


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 60, ["0", "20", "40", "60"]),
        (0, 1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (-2.1, 7.3, ["-2", "0", "2", "4", "6"]),
        (0, 0.00012, ["0", "5e-5", "1e-4"]),
        (990, 1010, ["990", "995", "1,000", "1,005", "1,010"]),
    ],
)
def test_linear_axes_have_round_values(low, high, labels):
    ticks = Linear(low, high).ticks()
    assert [tick.label for tick in ticks] == labels
    assert all(-1e-9 <= tick.at <= 100 + 1e-9 for tick in ticks)


def test_equal_factors_are_equally_long():
    axis = Log(1, 1000, zero=False)
    assert [axis.place(count) for count in (1, 10, 100, 1000)] == pytest.approx([0, 1000 / 3, 2000 / 3, 1000])


def test_no_images_has_its_own_place_before_one_image():
    axis = Log.around([0, 1, 100])
    assert axis.ticks()[0] == Tick("0", 2.5)
    assert axis.place(0) < axis.place(1) < axis.place(100) < 1000


@pytest.mark.parametrize("counts", [[5], [1, 1, 1], [0], [7, 9], [1, 10_000_000]])
def test_every_axis_of_counts_has_length_and_values(counts):
    axis = Log.around(counts)
    assert all(0 < axis.place(count) < 1000 for count in counts)
    assert axis.ticks()
    assert len(axis.ticks()) <= 9


def test_large_counts_are_short():
    assert [tick.label for tick in Log(1, 10**7, zero=False).ticks()][-4:] == ["10k", "100k", "1M", "10M"]


def test_paths_run_from_the_top():
    assert line([(0, 0), (10.26, 1000)]) == "M0 1000L10.3 0"
    assert dots([(1, 2), (3, 4)]) == "M1 998h0M3 996h0"
    assert line([(5, 0)]) == "M5 1000h0", "one point is a dot"
    assert line([]) == ""
