"""The state of a training: method, optimiser and moving average, and one step of it."""

from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from longtail import methods, recipe
from longtail.data import augment, batches
from longtail.data.class_counts import Counts
from longtail.networks import ImageClassifier
from longtail.optim.schedules import Clock
from longtail.recipe import Recipe, build
from longtail.runtime import distributed, seeds
from longtail.training.processes import CommonError


class TrainState:
    """Method, optimiser and moving average: all that changes from step to step.

    Args:
        settings: the recipe.
        fabric: launched.
        train_counts: `(C,)` training images per class.
        fetch: see `build.classifier`.
    """

    def __init__(self, settings: Recipe, fabric: Fabric, train_counts: Counts, *, fetch: bool) -> None:
        self.settings, self.fabric = settings, fabric
        torch.manual_seed(settings.seed)
        self.method = build.method(settings, train_counts, fetch=fetch)
        # A third faster than the default layout on CPUs, and no slower on GPUs.
        self.method.to(memory_format=cast(Any, torch.channels_last))
        if settings.sync_batchnorm and fabric.world_size > 1:
            distributed.share_batchnorm(self.method, fabric.device)
        self.average = build.average(settings, self.method)
        self.wrapped, self.optimizer = fabric.setup(self.method, build.optimizer(settings.optimizer, self.method))
        if self.average is not None:
            self.average.to(fabric.device, next(self.method.parameters()).dtype)
        self.augmentation = build.augmentation(settings)
        self.sampler = build.sampler(settings, int(train_counts.sum()))
        self.settled = not distributed.several()

    def _settle(self, views: tuple[batches.Batch, ...], clock: Clock) -> None:
        """Run once for nothing, so that a resumed training adds gradients in the order of an uninterrupted one.

        Data-parallel training sorts its buckets after its first backward pass, and sums of more than two numbers
        depend on the order.
        """
        before = {name: value.clone() for name, value in self.method.state_dict().items()}
        self.fabric.backward(self.wrapped(views, clock).loss)
        self.optimizer.zero_grad()
        self.method.load_state_dict(before)
        self.settled = True

    @property
    def classifier(self) -> ImageClassifier:
        """The network that predicts: averaged, if the recipe says so."""
        return cast(methods.Method, self.average.module if self.average is not None else self.method).classifier

    def train_step(
        self,
        micro_batches: list[tuple[batches.Batch, ...]],
        plan: batches.Plan,
        step: int,
        clock: Clock,
        *,
        rate: float,
    ) -> dict[str, Tensor]:
        """Take one optimiser step. Chance is keyed by the step, schedules go by the clock.

        Args:
            micro_batches: of the step, each with a batch for each stream of the method.
            plan: that they are of.
            step: counted from 0.
            clock: the time of the schedule.
            rate: learning rate.
        Returns: the loss and its terms on this process, `()` each, their means over micro-batches.
        Raises: CommonError if a loss is not finite.
        """
        settings, fabric = self.settings, self.fabric
        if not self.settled:
            self._settle(self._augmented(micro_batches[0], plan.shares()[0], plan, step, clock), clock)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Layers that draw at random (dropout, stochastic depth) get their chance from the step, not from the past.
        key = [settings.seed, seeds.NETWORK, step, plan.rank]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        every: list[dict[str, Tensor]] = []
        losses: list[Tensor] = []
        for share, micro in zip(plan.shares(), micro_batches, strict=True):
            views = self._augmented(micro, share, plan, step, clock)
            with fabric.no_backward_sync(self.wrapped, enabled=len(every) + 1 < plan.accumulate):
                loss, terms, each = self.wrapped(views, clock)
                every.append({"loss": loss.detach(), **terms})
                if self.sampler is not None:
                    # Joined by rank, where every `world`-th image is of the same one.
                    assert each is not None, "recipes allow a sampler for methods with a loss of each image only"
                    losses.append(distributed.gather(each).unflatten(0, (plan.world, -1)).T.flatten())
                _check_finite(every[-1], step=step, epoch=step // plan.steps_per_epoch)
                fabric.backward(loss / plan.accumulate)
        if settings.clip is not None:
            fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.method)
        if self.sampler is not None:
            self.sampler.observe(self.sampler.rows(step), torch.cat(losses))
        return {name: torch.stack([terms[name].float() for terms in every]).mean() for name in every[0]}

    def _augmented(
        self, micro: tuple[batches.Batch, ...], share: slice, plan: batches.Plan, step: int, clock: Clock
    ) -> tuple[batches.Batch, ...]:
        """Batches as the method wants them: on the device, augmented, normalised, and as small as the clock's stage."""
        device, settings = self.fabric.device, self.settings
        size, scale = build.image_size(settings, clock), settings.augment.stage_scale
        ready = []
        for stream, batch in enumerate(micro):
            images = batch.images.to(device, non_blocking=True)
            views, _, _, height, width = images.shape
            # Drawn for the rows of all processes, so that their number does not change what an image becomes.
            parameters = augment.draw(
                self.augmentation,
                views=views,
                batch=plan.batch_size,
                height=height,
                width=width,
                key=(plan.seed, seeds.AUGMENT, stream, step),
            )
            parameters = parameters.rows(share)
            changed = augment.augment(images, parameters, self.augmentation)
            done = augment.mixed(changed, batch.labels.to(device, non_blocking=True), parameters)
            if batch.weights is not None:
                done = done._replace(weights=batch.weights.to(device))
            if size is not None:
                done = done._replace(images=augment.small(done.images, parameters, size=size, scale=scale))
            ready.append(done)
        return tuple(ready)

    def state(self, step: int, seconds: float) -> dict[str, Any]:
        """What `restore` needs to go on after `step` steps that took `seconds`."""
        return {
            "step": step,
            "seconds": seconds,
            "recipe": recipe.dump(self.settings),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "precision": self.fabric.strategy.precision.state_dict(),
            # By the name that it had when this was the only sampler.
            "pruning": self.sampler.state_dict() if self.sampler is not None else None,
        }

    def restore(self, saved: dict[str, Any]) -> tuple[int, float]:
        """Go back to a saved state; its step and seconds."""
        self.method.load_state_dict(saved["method"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.fabric.strategy.precision.load_state_dict(saved["precision"])
        if self.sampler is not None:
            self.sampler.load_state_dict(saved["pruning"])
        return saved["step"], saved["seconds"]


def _check_finite(terms: dict[str, Tensor], *, step: int, epoch: int) -> None:
    """Stop, in all processes at once, before a loss that is no number ruins the weights."""
    if not distributed.anywhere(not bool(torch.isfinite(terms["loss"])), terms["loss"].device):
        return
    values = ", ".join(f"{name} {value:.4g}" for name, value in distributed.means(terms).items())
    raise CommonError(
        f"the loss is not finite at step {step + 1} (epoch {epoch + 1}): {values}; "
        "the last saved state is kept. Start again with a lower optimizer.lr, a longer schedule.warmup, clip, or "
        "precision fp32"
    )
