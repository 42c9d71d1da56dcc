"""What a training will cost, from a few of its steps."""

import pytest

from longtail import recipe
from longtail.planning.cost import Cost, cost

TINY = ("network.width=4", "batch_size=16", "epochs=10")


def of(*overrides, images=160, measured=0, size=(8, 8)):
    settings = recipe.load("digits-lt/hybrid-psc", recipe.parse_overrides([*TINY, *overrides]))
    return cost(settings, images=images, measured=measured, classes=10, size=size, device="cpu")


def test_steps_are_those_of_the_training():
    assert of().steps == 100
    assert of("epochs=3", images=100).steps == 18


def test_a_budget_is_what_it_costs():
    large, small = of("budget=1h"), of("budget=1s", "epochs=1000")
    assert (large.seconds, small.seconds) == (3600, 1)
    assert large.steps > small.steps >= 1


def test_twice_the_network_takes_more_memory_and_larger_images_too():
    small = of()
    assert of("network.width=32").bytes > small.bytes
    assert of(size=(32, 32)).bytes > small.bytes
    assert of("ema=0.9").bytes > small.bytes
    assert small.seconds > 0
    assert small.device == "cpu"


def test_images_are_kept_in_memory_or_not():
    kept = of(images=1_000_000).bytes - of(images=160).bytes
    assert kept == 3 * 8 * 8 * (1_000_000 - 160)
    assert of("data.in_memory=false", images=1_000_000).bytes == of("data.in_memory=false").bytes


def test_a_long_step_is_measured_with_few_images():
    settings = recipe.load("digits-lt/ce", {"network.width": 8, "batch_size": 1000000})
    large = cost(settings, images=2_000_000, measured=0, classes=10, size=(64, 64), device="cpu")
    assert large.steps == 2 * settings.epochs
    assert large.bytes > 100e9  # what nobody could have tried


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (45, "45 seconds"),
        (100, "1.7 minutes"),
        (3600, "60 minutes"),
        (100_000, "28 hours"),
        (10**6, "12 days"),
    ],
)
def test_durations_in_words(seconds, words):
    assert Cost(seconds, 10**9, 1, "cpu").in_words() == f"about {words} for 1 step, and 1.0 GB of memory, on cpu"
