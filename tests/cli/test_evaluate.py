"""`longtail evaluate`: which split is evaluated, and how it is named."""

from support.commands import SMALL, Command


def test_validation_split_is_named(longtail_: Command) -> None:
    line = [
        "--set",
        "split=validation",
        "--set",
        "data.n_max=60",
        "--set",
        "data.imbalance=20",
        "--set",
        "batch_size=16",
        *SMALL,
    ]
    said = longtail_("train", "digits-lt/ce", "--out", "run", *line)
    assert said.out.startswith("digits-lt/ce, seed 0: 60 validation images of 10 classes\n")
    assert longtail_("evaluate", "run").out == said.out
    assert longtail_("evaluate", "run", "--split", "validation").out == said.out
    assert longtail_("evaluate", "run", "--split", "test").out.startswith("digits-lt/ce, seed 0: 500 test images")
