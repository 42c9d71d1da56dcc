"""Diagrams of accuracy over confidence."""

from dataclasses import replace

from longtail.metrics import Bin, wilson
from longtail.report import reliability


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
