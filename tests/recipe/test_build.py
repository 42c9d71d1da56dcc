"""Settings become objects: every member of every union has its own."""

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from pydantic import BaseModel

from longtail import recipe
from longtail.data.batches import Mixed
from longtail.data.sampler import Weights
from longtail.optim import schedules
from longtail.optim.schedules import Clock
from longtail.recipe import build, loading, model
from support.small_methods import CLASSES, COUNTS, HALF, ROWS, batches, make


@pytest.mark.parametrize(
    ("overrides", "at_half"),
    [
        ((), 0.75),
        (("method.alpha.kind=linear",), 0.5),
        (("method.alpha.kind=cosine",), 2**-0.5),
        (("method.alpha.kind=constant", "method.alpha.value=0.3"), 0.3),
        (("method.alpha.kind=step", "method.alpha.at=0.4"), 0.0),
    ],
)
def test_every_curriculum_can_be_chosen(overrides, at_half):
    settings = recipe.load("digits-lt/hybrid-psc", recipe.parse_overrides(overrides)).method
    assert isinstance(settings, recipe.HybridPSC)
    assert build.alpha(settings.alpha)(HALF) == pytest.approx(at_half)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (("schedule.kind=step", "schedule.warmup=0.1"), [0.01, 0.1, 0.1, 0.001]),
        (("schedule.kind=cosine", "schedule.warmup=0"), [0.1, 0.1, 0.05, 0.0]),
        (("schedule.kind=one-cycle", "schedule.warmup=0.1"), [0.01, 0.1, 0.0555, 0.0011]),
        (("schedule.kind=constant",), [0.1, 0.1, 0.1, 0.1]),
    ],
)
def test_every_learning_rate_schedule_can_be_chosen(schedule, rates):
    settings = recipe.load("digits-lt/ce", recipe.parse_overrides(schedule))
    clocks = [Clock.at(step=step, epochs=10, steps_per_epoch=10) for step in (0, 10, 50, 99)]
    assert [build.learning_rate(settings, clock) for clock in clocks] == pytest.approx(rates, rel=0.03, abs=1e-4)
    assert schedules.warmup(clocks[0], fraction=0) == 1


def members(union: object) -> list[Any]:
    """One of each kind of a union of settings: defaults, and the least where there is none."""
    small = {"timm": {"name": "test_resnet"}, "sgd": {"lr": 0.1}, "muon": {"lr": 0.1}}
    return [member(**small.get(kind, {})) for kind, member in model.kinds(union).items()]


def with_part(name: str, part: Any) -> recipe.Recipe:
    return recipe.load("digits-lt/ce").model_copy(update={name: part})


def unions_of(settings: type[BaseModel]) -> Iterator[str]:
    """Where a recipe leaves the choice between kinds of settings, dotted, as its JSON schema has it."""
    for name, field in settings.model_fields.items():
        blocks = [*loading.blocks(field.annotation)]
        if len(blocks) > 1:
            yield name
        for block in blocks:
            yield from (f"{name}.{inner}" for inner in unions_of(block))


BUILT: dict[str, tuple[object, Callable[[Any], object]]] = {
    "network": (model.Network, lambda part: build.backbone(part, fetch=False)),
    "head": (
        model.Head,
        lambda part: build.classifier(model.ResNet9(width=4), part, classes=CLASSES),
    ),
    "method": (model.Method, lambda part: build.method(with_part("method", part), COUNTS)),
    "method.alpha": (model.Alpha, lambda part: build.alpha(part)(HALF)),
    "optimizer": (model.Optimizer, lambda part: build.optimizer(part, make("ce"))),
    "schedule": (model.Schedule, lambda part: build.learning_rate(with_part("schedule", part), HALF)),
}


def test_the_list_of_unions_is_complete() -> None:
    assert {*unions_of(recipe.Recipe)} == {*BUILT}


@pytest.mark.parametrize(
    ("union", "part"), [(name, part) for name, (union, _) in BUILT.items() for part in members(union)]
)
def test_every_kind_of_settings_becomes_something(union: str, part: Any) -> None:
    """One without a `case` fails here, before anybody trains with it."""
    assert BUILT[union][1](part) is not None


def test_a_kind_without_a_case_is_named_when_it_is_built() -> None:
    matches = [node for node in ast.walk(ast.parse(inspect.getsource(build))) if isinstance(node, ast.Match)]
    assert len(matches) == len(BUILT)
    assert {ast.unparse(match.cases[-1]) for match in matches} == {"case other:\n    assert_never(other)"}

    class Forgotten(model.MethodSettings):
        kind: str = "forgotten"

    with pytest.raises(AssertionError, match=r"Forgotten\(kind='forgotten'\)"):
        build.method(with_part("method", Forgotten()), COUNTS)


@pytest.mark.parametrize("part", members(model.Method))
def test_methods_are_what_their_settings_say_of_them(part: Any) -> None:
    method = build.method(with_part("method", part), COUNTS)
    given = batches(method)
    step = method(given, HALF)
    assert method.streams[0].sampling == part.drawn
    assert (step.each is not None) == part.loss_of_each_image
    if part.loss_of_each_image:
        weighted = given[0]._replace(weights=Weights(torch.full((ROWS,), 2.0)))
        torch.testing.assert_close(method((weighted,), HALF).loss, 2 * step.loss)
    if part.takes_mixed_images:
        other = (given[0].labels + 1) % CLASSES
        mixed = given[0]._replace(mixed=Mixed(other, torch.ones(ROWS)))
        torch.testing.assert_close(method((mixed,), HALF).loss, method((given[0]._replace(labels=other),), HALF).loss)
    assert method.assumed_prior(COUNTS).sum() == pytest.approx(1)
    chunked = {"chunk"} & {*type(part).model_fields}
    assert not part.in_chunks
    assert not chunked or part.model_copy(update={"chunk": 4}).in_chunks
