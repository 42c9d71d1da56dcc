"""`longtail recipes`: the list, one recipe, JSON and schema."""

import json
from pathlib import Path
from typing import Any

from longtail import recipe
from support.commands import Command, assert_mistake


def test_recipes_are_listed_in_80_columns(longtail_: Command) -> None:
    said = longtail_("recipes")
    assert (said.code, said.err) == (0, "")
    header, rule, *rows = said.out.splitlines()
    assert header.split() == ["recipe", "network", "epochs", "batch", "published", "top-1"]
    assert set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == list(recipe.shipped())
    cells = {name: rest for name, *rest in (row.split() for row in rows)}
    assert cells["cifar10-lt-10/ce"] == ["resnet32", "200", "128", "86.44%"]
    assert cells["inaturalist2018/hybrid-sc"] == ["resnet50", "100", "256", "66.74%"]
    assert cells["own/small"] == ["resnet9", "100", "128", "-"]
    assert all(len(line) <= 80 and line == line.rstrip() for line in said.out.splitlines())


def test_recipes_as_json(longtail_: Command) -> None:
    said = longtail_("recipes", "--json")
    assert (said.code, said.err) == (0, "")
    read = json.loads(said.out)
    assert list(read) == list(recipe.shipped())
    assert read["cifar100-lt-100/hybrid-sc"]["published"]["top1"] == 0.4672
    assert recipe.parse(_tuples(read["digits-lt/ce"])) == recipe.load("digits-lt/ce")


def _tuples(tree: Any) -> Any:
    return {k: _tuples(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


def test_recipe_is_printed_as_it_stands_and_can_be_used(longtail_: Command, tmp_path: Path) -> None:
    said = longtail_("recipes", "cifar10-lt-50/hybrid-psc")
    assert (said.code, said.err) == (0, "")
    assert said.out == recipe.text_of("cifar10-lt-50/hybrid-psc")
    (tmp_path / "mine.yaml").write_text(said.out)
    read = json.loads(longtail_("recipes", "mine.yaml", "--json").out)
    assert (read["name"], read["data"]["imbalance"], read["seed"]) == ("mine", 50, 0)


def test_schema_of_recipes(longtail_: Command) -> None:
    said = longtail_("recipes", "--schema")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == json.loads(json.dumps(recipe.schema()))
    assert_mistake(longtail_("recipes", "digits-lt/ce", "--schema"), "'digits-lt/ce'", "--schema")
