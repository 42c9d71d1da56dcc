"""Previews: what is known before a training: the audit of the data, advice, and what the training will cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longtail.data import sources
from longtail.data.audit.audit import Audit, audit
from longtail.data.source import Listing
from longtail.data.worker_pool import Progress
from longtail.planning import recommend
from longtail.planning.cost import Cost, cost
from longtail.planning.recommend import Advice
from longtail.recipe import build
from longtail.runs import custom_data


@dataclass(frozen=True)
class Preview:
    """What is known before a training.

    Args:
        path: of the data.
        listing: what its files say.
        understood: the same in lines.
        audit: what its images show.
        advice: how to train on it; `None` if there is nothing to train on.
        cost: of that training.
    """

    path: Path
    listing: Listing
    understood: tuple[str, ...]
    audit: Audit
    advice: Advice | None
    cost: Cost | None

    def to_dict(self) -> dict[str, Any]:
        """All of it in plain values, for JSON; the audit's own values are not one level deeper."""
        return {
            "data": str(self.path),
            **self.audit.to_dict(),
            "advice": self.advice and asdict(self.advice),
            "cost": self.cost and asdict(self.cost),
        }


def look(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    template: str | None = None,
    device: str = "auto",
    workers: int = 0,
    progress: Progress | None = None,
) -> Preview:
    """Look at all images, and take a few steps of the training that would follow.

    Args:
        path: of the data, as `sources.read` takes it.
        overrides: what the user has decided.
        template: the recipe to start from; `None`: one that suits the images.
        device: see `hardware.runtime`.
        workers: processes that decode; 0: this one.
        progress: is told how many images of how many are done.
    Raises: ValueError or FileNotFoundError if the data cannot be read, or a setting is wrong.
    """
    listing = recommend.read(path, overrides)
    sizes = recommend.sizes(listing)
    advised = recommend.advise(listing, overrides, sizes=sizes, template=template) if sizes else None
    settings = recommend.settled(path, advised or Advice(template or recommend.SMALL, (), ()), overrides)
    found = audit(
        listing,
        divide=lambda readable: custom_data.split(listing, listing.source, readable, settings)[0],
        bounds=build.groups(settings),
        workers=workers,
        progress=progress,
    )
    price = None
    if sizes and found.training_images:
        side = settings.data.image_size
        width, height = (side, side) if side else sizes.usual
        price = cost(
            settings,
            images=found.training_images,
            measured=found.evaluated_images,
            classes=len(found.classes),
            size=(height, width),
            device=device,
        )
    return Preview(path, listing, sources.describe(listing), found, advised, price)
