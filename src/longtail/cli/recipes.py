"""`longtail recipes`: the shipped recipes, as a table, as YAML, as JSON, and their schema."""

import sys
from typing import Annotated

import typer

from longtail.cli import output


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="Print the YAML of this recipe.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of recipes, for editors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every setting as JSON.")] = False,
) -> None:
    """List the shipped recipes, or print one."""
    from longtail import recipe

    match schema, name:
        case True, None:
            output.print_json(recipe.schema())
        case True, _:
            raise ValueError(f"--schema is the same for all recipes; leave out {name!r} or --schema")
        case False, str(one):
            if as_json:
                output.print_json(recipe.load(one).model_dump(mode="json"))
            else:
                sys.stdout.write(recipe.text_of(one))
        case _:
            settings = [recipe.load(each) for each in recipe.shipped()]
            if as_json:
                output.print_json({each.name: each.model_dump(mode="json") for each in settings})
            else:
                output.print_recipes(settings)
