"""Settings of networks, methods and optimisers: their kinds, and values that exclude each other."""

import pytest

from longtail import recipe
from longtail.recipe import model


def test_kinds_of_a_union_are_found_by_name():
    assert [*model.kinds(model.Method)] == ["ce", "logit-adjustment", "hybrid-sc", "hybrid-psc"]
    assert model.kinds(model.Network)["timm"] is model.Timm


def test_a_network_is_called_by_its_kind_or_by_the_name_that_timm_has_for_it():
    assert recipe.network_name(model.ResNet32()) == "resnet32"
    assert recipe.network_name(model.Timm(name="convnext_atto")) == "convnext_atto"


def test_methods_that_say_nothing_are_of_one_label_and_one_loss_for_all_images():
    plain = model.MethodSettings()
    assert not (plain.loss_of_each_image or plain.takes_mixed_images or plain.in_chunks)
    assert plain.drawn == "instance"
    assert model.CrossEntropy(sampling="balanced").drawn == "balanced"
    assert model.HybridSC(chunk=4).in_chunks and not model.HybridSC().in_chunks


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: model.Airbench(width=95, mirrored=True),
            "width is 95 and mirrored is true; allowed then: an even width",
        ),
        (lambda: model.SGD(lr=0.1, nesterov=True, momentum=0.0), "nesterov is true and momentum is 0"),
        (lambda: model.Timm(pretrained=True, weights="x.pth"), "pretrained is true; choose one of the two"),
    ],
)
def test_values_that_exclude_each_other_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
