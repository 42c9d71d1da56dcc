"""Preflight: what is known before a training on custom data: audit, recommended settings, time and memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from longtail import recipe
from longtail.data import sources
from longtail.data.audit.audit import Audit, Sizes, audit, sizes_of
from longtail.data.source import Listing
from longtail.data.worker_pool import Progress
from longtail.planning.cost import Cost, cost
from longtail.planning.recommend import SMALL, WHOLE, Recommendation, recommend
from longtail.recipe import Recipe, build
from longtail.runs import custom_data
from longtail.runs.custom_data import Listed

Overrides = Mapping[str, object]

_NONE: Overrides = MappingProxyType({})
_RECIPES = ("", ".yaml", ".yml")  # endings of files that are recipes, not data


@dataclass(frozen=True)
class Plan:
    """The settings of a training.

    Args:
        settings: all of them.
        reasons: why they are what they are, in lines; none where a recipe says it all.
        listed: custom data as it was read, for the training; `None`: of a recipe's data.
    """

    settings: Recipe
    reasons: tuple[str, ...] = ()
    listed: Listed | None = None


@dataclass(frozen=True)
class Preflight:
    """What is known before a training.

    Args:
        path: of the data.
        listing: what its files say.
        understood: the same in lines.
        audit: what its images show.
        recommendation: how to train on it; `None` if there is nothing to train on.
        cost: of that training.
    """

    path: Path
    listing: Listing
    understood: tuple[str, ...]
    audit: Audit
    recommendation: Recommendation | None
    cost: Cost | None

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values, for JSON; the audit's own values are not one level deeper."""
        return {
            "data": str(self.path),
            **self.audit.to_dict(),
            "advice": self.recommendation and self.recommendation.to_dict(),
            "cost": self.cost and asdict(self.cost),
        }


def choose(name: str, overrides: Overrides = _NONE, *, template: str | None = None) -> Plan:
    """Settings by the name of a recipe, or by the path of custom data.

    Args:
        name: a shipped recipe or the path of a YAML file, as `recipe.load` takes it; or a folder or another file, as
            `sources.read` takes it.
        overrides: what the user has decided; nothing else is recommended for it.
        template: for data, the recipe to start from; `None`: one that suits the images.
    Raises: ValueError or FileNotFoundError if there is neither, if both bear the name, if the data cannot be read, or
        if a setting is wrong.
    """
    path = Path(name).expanduser()
    kind = "folder" if path.is_dir() else "file"
    if path.exists() and name in recipe.shipped():
        raise ValueError(f"{name} is a shipped recipe, and a {kind} here; for the {kind} say ./{name}")
    is_run = (path / "recipe.yaml").is_file()
    if name and ((path.is_file() and path.suffix.lower() not in _RECIPES) or (path.is_dir() and not is_run)):
        return prepare(path, overrides, template=template)
    if template is not None:
        raise ValueError(f"--recipe is {template}, but {name} is no data; leave it out, or name your images first")
    return Plan(recipe.load(name, overrides))


def prepare(path: Path, overrides: Overrides = _NONE, *, template: str | None = None) -> Plan:
    """Read custom data and choose the settings of a training on it.

    Args:
        path: of the data, as `sources.read` takes it.
        overrides: what the user has decided; nothing else is recommended for it.
        template: the recipe to start from; `None`: one that suits the images.
    Raises: ValueError or FileNotFoundError if the data cannot be read, or a setting is wrong.
    """
    draft = _draft(path, overrides, template)
    if draft.recommendation is None:
        raise ValueError(f"{path}: none of the images that were tried can be read; longtail audit says why")
    return Plan(draft.settings, draft.recommendation.reasons, draft.listed)


def check(
    path: Path,
    overrides: Overrides = _NONE,
    *,
    template: str | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: Progress | None = None,
) -> Preflight:
    """Audit custom data, and take a few steps of the training that would follow.

    Args:
        path: of the data, as `sources.read` takes it.
        overrides: what the user has decided.
        template: the recipe to start from; `None`: one that suits the images.
        device: see `hardware.runtime`.
        workers: processes that decode; 0: this one.
        progress: called with how many images of how many are done.
    Raises: ValueError or FileNotFoundError if the data cannot be read, or a setting is wrong.
    """
    draft = _draft(path, overrides, template)
    listing, settings = draft.listed.listing, draft.settings
    found = audit(
        listing,
        divide=lambda readable: custom_data.split(listing, listing.source, readable, settings)[0],
        bounds=build.groups(settings),
        workers=workers,
        progress=progress,
    )
    price = None
    if draft.sizes and found.training_images:
        side = settings.data.image_size
        width, height = (side, side) if side else draft.sizes.usual
        price = cost(
            settings,
            images=found.training_images,
            evaluated=found.evaluated_images,
            classes=len(found.classes),
            size=(height, width),
            device=device,
        )
    return Preflight(path, listing, sources.describe(listing), found, draft.recommendation, price)


@dataclass(frozen=True)
class _Draft:
    """What is known of custom data before its images are decoded; nothing is recommended if no header can be read."""

    listed: Listed
    sizes: Sizes | None
    recommendation: Recommendation | None
    settings: Recipe


def _draft(path: Path, overrides: Overrides, template: str | None) -> _Draft:
    named = _named(path)
    of_data = {setting: value for setting, value in overrides.items() if setting.startswith("data.")}
    listed = custom_data.listed(recipe.load(SMALL, {**named, **of_data}).data)
    sizes = sizes_of(listed.header_sizes) if len(listed.header_sizes) else None
    found = recommend(listed.listing, overrides, sizes=sizes, template=template) if sizes else None
    start, changes = (found.recipe.value, found.overrides) if found else (template or SMALL, {})
    return _Draft(listed, sizes, found, recipe.load(start, {**named, **changes, **overrides}))


def _named(path: Path) -> dict[str, object]:
    """The settings that say which custom data it is."""
    whole = path.absolute()
    return {"name": whole.name if whole.is_dir() else whole.stem, **WHOLE, "data.path": str(whole)}
