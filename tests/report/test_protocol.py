"""How figures came about, in a sentence."""

import dataclasses

from longtail.report import protocol


def test_protocol_in_words(read):
    assert protocol.protocol(read) == (
        "Last epoch of 20, one seed (0), test split of 100 images. "
        "Trained on 1,236 images of 10 classes, 500 to 5 a class."
    )


def test_protocol_of_a_budget_in_words(read):
    cut = dataclasses.replace(read, settings=read.settings.model_copy(update={"budget": 300.0}))
    assert protocol.protocol(cut).startswith("End of a schedule of 20 epochs, cut to 5m, one seed (0), ")
