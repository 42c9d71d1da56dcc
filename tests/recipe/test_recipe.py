"""Settings that do not go with each other, and what a recipe says about that."""

import pytest

from longtail import recipe


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.kind=hybrid-psc"], r"method.kind is hybrid-psc; set it to ce or logit-adjustment"),
        (["method.sampling=balanced"], r"method.sampling is balanced; set it to instance"),
        (["augment.cutmix=0.5"], r"augment.cutmix is 0.5 and mixes them; set it to 0"),
        (["data.in_memory=false"], r"data.in_memory is false and decodes ahead; set it to true"),
        (["pruning.share=1"], r"pruning.share"),
        (["pruning.share=0"], r"pruning.share"),
        (["pruning.until=1.5"], r"pruning.until"),
    ],
)
def test_what_pruning_does_not_go_with(overrides, message):
    with pytest.raises(ValueError, match=message):
        recipe.load("digits-lt/ce", recipe.parse_overrides(["pruning.share=0.5", *overrides]))


@pytest.mark.parametrize("kind", ["hybrid-sc", "hybrid-psc"])
def test_a_method_of_two_branches_takes_no_mixed_images(kind):
    message = (
        rf"augment.cutmix is 0.5 and method.kind is {kind}, which takes one label an image; "
        "set augment.cutmix to 0, or method.kind to ce or logit-adjustment"
    )
    with pytest.raises(ValueError, match=message):
        recipe.load(f"digits-lt/{kind}", {"augment.cutmix": 0.5})


def test_groups_are_ordered_and_something_is_evaluated():
    with pytest.raises(ValueError, match=r"few is 200 and many is 100; few must not exceed many"):
        recipe.load("digits-lt/ce", {"groups.few": 200})
    with pytest.raises(ValueError, match=r"split is validation and data.validation is 0"):
        recipe.load("digits-lt/ce", {"split": "validation", "data.validation": 0})
