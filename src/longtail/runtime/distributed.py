"""Between the processes of one training: gathered tensors with their gradients, means, shared batch statistics."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Shaped
from lightning_fabric import Fabric
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, distributed, nn


class Process(NamedTuple):
    """One of the processes that do the same on different images.

    Args:
        device: that computes.
        rank: in `[0, world)`.
        world: number of processes.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @classmethod
    def of(cls, fabric: Fabric) -> "Process":
        """This process of a launched training."""
        return cls(fabric.device, fabric.global_rank, fabric.world_size)


def several() -> bool:
    """Whether this training runs in more than one process."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gather(tensor: Shaped[Tensor, "batch *shape"]) -> Shaped[Tensor, "all *shape"]:  # noqa: F821
    """Join a tensor's rows from all processes, in rank order, so that gradients flow back to all of them.

    A loss computed on the result is the same on every process. Its gradient arrives once from each process and is
    averaged by data-parallel training, so it is that of one process with the whole batch. Every process must call it,
    or all wait for ever. A single process gets its own tensor back.

    Args:
        tensor: `(B, ...)`, of the same shape on each process.

    >>> gather(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    return _Gather.apply(tensor) if several() else tensor  # pyright: ignore[reportReturnType]


def of_first(numbers: Sequence[float], device: torch.device) -> list[float]:
    """The numbers of the first process, in every process; every process must call it with as many.

    Args:
        numbers: of this process.
        device: that trains; not every backend sends from the CPU.

    >>> of_first([0.1, 3], torch.device("cpu"))
    [0.1, 3.0]
    """
    if not several():
        return [float(number) for number in numbers]
    shared = torch.tensor([float(number) for number in numbers], dtype=torch.float64, device=device)
    distributed.broadcast(shared, src=0)
    return shared.tolist()


def means(values: dict[str, Tensor]) -> dict[str, float]:
    """The mean of each value over all processes; every process must call it with the same names.

    >>> means({"loss": torch.tensor(0.5)})
    {'loss': 0.5}
    """
    stacked = torch.stack([value.float() for value in values.values()])
    mean = gather(stacked.unsqueeze(0)).mean(0)
    return dict(zip(values, mean.tolist(), strict=True))


def anywhere(flag: bool, device: torch.device) -> bool:
    """Whether a flag is set in any process; every process must call it.

    Args:
        flag: of this process.
        device: that trains; not every backend gathers from the CPU.

    >>> anywhere(True, torch.device("cpu"))
    True
    """
    return bool(gather(torch.tensor([float(flag)], device=device)).any()) if several() else flag


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: Tensor) -> Tensor:  # noqa: ANN001  (torch's class of contexts is not public)
        parts = [
            torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(distributed.get_world_size())
        ]
        distributed.all_gather(parts, tensor.contiguous())
        ctx.rows = len(tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:  # noqa: ANN001
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total.split(ctx.rows)[distributed.get_rank()]


def share_buffers(module: nn.Module) -> None:
    """Give every process the buffers of the first, such as running statistics; every process must call it."""
    if several():
        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the images of all processes, on a CPU.

    PyTorch's own `SyncBatchNorm` refuses to run there. All processes must have equally many images.

    >>> SharedBatchNorm(3)(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> "SharedBatchNorm":
        """A layer with the parameters and buffers of another: the same tensors, so that all who have them keep them."""
        shared = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats, device="meta")
        for name, parameter in norm.named_parameters(recurse=False):
            shared.register_parameter(name, parameter)
        for name, buffer in norm.named_buffers(recurse=False):
            shared.register_buffer(name, buffer)
        return shared.train(norm.training)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:  # noqa: A002  (torch's name)
        if not (self.training and several()):
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None, "a cumulative average of statistics is not supported"
        # Half precision is too coarse for statistics.
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        with torch.no_grad():
            # Means and variances, not sums of squares: those lose digits where the mean is large.
            # Ten times as fast as `var_mean`, which does not know this layout.
            mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
            variances, means = gather(torch.stack([variance, mean]).unsqueeze(0)).unbind(1)  # (world, C) each
            mean = means.mean(0)
            variance = variances.mean(0) + means.var(0, correction=0)
            n = len(means) * x.numel() / x.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        return _Normalise.apply(x, self.weight, self.bias, mean, variance, self.eps).to(input.dtype)


class _Normalise(torch.autograd.Function):
    """Normalisation by statistics that come from the images themselves, of all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        ctx.eps = eps
        return torch.batch_norm(x, weight, bias, mean, variance, False, 0.0, eps, False)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        (slope,), (x, weight, mean, inverse) = outer, ctx.saved_tensors
        _, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            slope, x, weight, None, None, mean, inverse, True, ctx.eps, [False, True, True]
        )
        totals = torch.stack([to_bias, to_weight])
        distributed.all_reduce(totals)
        # Averages over the images of all processes: what moving the shared mean and variance takes from each slope.
        by_bias, by_weight = totals / (distributed.get_world_size() * x.numel() / x.shape[1])
        scale = weight * inverse
        constant, linear = scale * (mean * inverse * by_weight - by_bias), -scale * inverse * by_weight
        # Normalising by mean 0 and variance 1 is a fused `x * linear + constant`.
        zeros, ones = torch.zeros_like(mean), torch.ones_like(mean)
        to_x = torch.batch_norm(x, linear, constant, zeros, ones, False, 0.0, 0.0, False)
        to_x.addcmul_(slope, scale.view(-1, 1, 1))
        return to_x, to_weight, to_bias, None, None, None


def share_batchnorm(module: nn.Module, device: torch.device) -> nn.Module:
    """Put batch normalisations over all processes in the place of PyTorch's; their tensors stay the same.

    On a CPU, layers that a library derives from them (some of timm's models have such) are left as they are.

    Args:
        module: changed in place, and returned; of a lone normalisation, what takes its place is returned.
        device: that trains; CUDA takes PyTorch's own `SyncBatchNorm`, and timm's for the layers of its models.
    """
    if device.type == "cuda":
        return convert_sync_batchnorm(module)
    if type(module) is nn.BatchNorm2d:
        return SharedBatchNorm.of(module)
    replaced: dict[nn.Module, SharedBatchNorm] = {}
    for path, part in list(module.named_modules(remove_duplicate=False)):  # a layer may have several places
        if type(part) is nn.BatchNorm2d:
            if part not in replaced:
                replaced[part] = SharedBatchNorm.of(part)
            parent, _, name = path.rpartition(".")
            setattr(module.get_submodule(parent), name, replaced[part])
    return module
