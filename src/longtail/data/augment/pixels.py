"""Operations on batches of pixels, each image with its own parameters."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F


def crop(
    images: Shaped[Tensor, "n k h w"],
    top: Int[Tensor, " n"],
    left: Int[Tensor, " n"],
    *,
    padding: int,
    size: tuple[int, int] | None = None,
) -> Shaped[Tensor, "n k out_h out_w"]:
    """Cut a part out of each image at its own offset; zeros come in from the side.

    Args:
        images: `(N, K, H, W)`, any type.
        top, left: `(N,)`, from 0 to what the padded image has more than the result.
        padding: zero pixels added on each side before the crop.
        size: height and width of the result; `None` is the size of the images.
    Returns: `(N, K, *size)`, of the same type.

    >>> crop(torch.tensor([[[[1, 2, 3]]]]), torch.tensor([1]), torch.tensor([2]), padding=1)
    tensor([[[[2, 3, 0]]]])
    """
    return window(images, top, left, torch.zeros_like(top, dtype=torch.bool), padding=padding, size=size)


def flip(
    images: Shaped[Tensor, "n k h w"], mask: Bool[Tensor, " n"], *, inplace: bool = False
) -> Shaped[Tensor, "n k h w"]:
    """Mirror the chosen images left to right.

    >>> flip(torch.tensor([[[[1, 2, 3]]]]), torch.tensor([True]))
    tensor([[[[3, 2, 1]]]])
    """
    return _where_(images if inplace else images.clone(), mask, lambda chosen: chosen.flip(-1))


def _where_(
    images: Shaped[Tensor, "n k h w"], mask: Bool[Tensor, " n"], change: Callable[[Tensor], Tensor]
) -> Shaped[Tensor, "n k h w"]:
    """Replace the chosen images by `change(them)`, in place.

    The mask is read where it lies: a mask on the CPU does not make the CPU wait for the device of the images.
    """
    chosen = mask.nonzero()[:, 0].to(images.device)
    return images.index_copy_(0, chosen, change(images[chosen]))


def window(
    images: Shaped[Tensor, "*batch k h w"],
    top: Int[Tensor, "*batch"],
    left: Int[Tensor, "*batch"],
    mask: Bool[Tensor, "*batch"],
    *,
    padding: int,
    size: tuple[int, int] | None = None,
) -> Shaped[Tensor, "*batch k out_h out_w"]:
    """Crop and mirror in one gather: on a CPU seven times as fast as `images[n, c, rows, columns]`.

    Args:
        images: `(..., K, H, W)`, any type.
        top, left: `(...)`, from 0 to what the padded image has more than the result.
        mask: `(...)`, which images are mirrored after the crop.
        padding: zero pixels added on each side before the crop.
        size: height and width of the result; `None` is the size of the images.
    Returns: `(..., K, *size)`, of the same type.
    """
    width, size = images.shape[-1], size or (images.shape[-2], images.shape[-1])
    top, left, mask = (value.to(images.device).unsqueeze(-1) for value in (top, left, mask))
    down, across = (torch.arange(side, device=images.device) for side in size)
    columns = left + torch.where(mask, across.flip(0), across)  # (..., W)
    index = (top + down).unsqueeze(-1) * (width + 2 * padding) + columns.unsqueeze(-2)  # (..., H, W)
    # Views that share their memory are padded once.
    distinct = images[:1] if images.stride(0) == 0 else images
    padded = F.pad(distinct, [padding] * 4).flatten(-2).expand(*images.shape[:-2], -1)
    every_channel = index.flatten(-2).unsqueeze(-2).expand(*images.shape[:-2], -1)
    return padded.gather(-1, every_channel).unflatten(-1, size)


def resized_crop(
    images: Float[Tensor, "n k h w"],
    top: Int[Tensor, " n"],
    left: Int[Tensor, " n"],
    height: Int[Tensor, " n"],
    width: Int[Tensor, " n"],
    *,
    size: tuple[int, int] | None = None,
) -> Float[Tensor, "n k out_h out_w"]:
    """Cut a box out of each image and resize it: bilinear, with antialiasing where it shrinks.

    Args:
        images: `(N, K, H, W)`.
        top, left, height, width: `(N,)`, a box inside the image, in pixels; sides at least 1.
        size: height and width of the result; `None` is the size of the images.
    Returns: `(N, K, *size)`.

    >>> images = torch.tensor([[[[0.0, 4.0, 9.0, 9.0]]]])
    >>> zero, one = torch.tensor([0]), torch.tensor([1])
    >>> resized_crop(images, zero, zero, one, 2 * one)
    tensor([[[[0., 1., 3., 4.]]]])
    """
    (height_in, width_in), (height_out, width_out) = images.shape[-2:], size or images.shape[-2:]
    rows = _resampling(top.to(images.device), height.to(images.device), height_in, height_out)
    columns = _resampling(left.to(images.device), width.to(images.device), width_in, width_out)
    # All rows of all channels of an image share one matrix; a product that broadcasts would copy it for each channel.
    narrow = (images.flatten(1, 2) @ columns.mT.to(images.dtype)).unflatten(1, images.shape[1:3])  # (N, K, H, out_w)
    return rows.to(images.dtype).unsqueeze(1) @ narrow


def _resampling(
    start: Int[Tensor, " n"], length: Int[Tensor, " n"], before: int, after: int
) -> Float[Tensor, "n {after} {before}"]:
    """Share of each input pixel in each output pixel, along one side of the image: a triangle around its centre.

    Source: the linear filter of Pillow's `resize`, which reads no pixel outside the box.
    """
    pixel = torch.arange(before, device=start.device) + 0.5 - start[:, None, None]  # (N, 1, before), from the edge
    length = length[:, None, None]
    scale = length / after
    centre = scale * (torch.arange(after, device=start.device) + 0.5).unsqueeze(1)  # (N, after, 1)
    triangle = 1 - (pixel - centre).abs() / scale.clamp(min=1)  # (N, after, before)
    weights = triangle.clamp(min=0) * ((pixel > 0) & (pixel < length))
    return weights / weights.sum(-1, keepdim=True)


def shrink(images: Float[Tensor, "n k h w"], size: int) -> Float[Tensor, "n k h2 w2"]:
    """Shrink images so that their shorter side has a size: bilinear, with antialiasing. Small ones stay as they are.

    Args:
        images: `(N, K, H, W)`.
        size: in pixels, at least 1.

    >>> shrink(torch.tensor([[[[0.0, 4.0], [8.0, 4.0]]]]), 1)
    tensor([[[[4.]]]])
    """
    smaller = with_shorter_side(images, size)
    if smaller == images.shape[-2:]:
        return images
    return F.interpolate(images, size=smaller, mode="bilinear", antialias=True)


def with_shorter_side(images: Shaped[Tensor, "*batch k h w"], size: int) -> tuple[int, int]:
    """Height and width of images that are shrunk, or cut, to the same shape with a shorter side of a size.

    Args:
        images: `(..., K, H, W)`; small ones stay as they are.
        size: in pixels, at least 1.

    >>> with_shorter_side(torch.zeros(3, 4, 6), 2), with_shorter_side(torch.zeros(3, 4, 6), 5)
    ((2, 3), (4, 6))
    """
    height, width = images.shape[-2:]
    shorter = min(height, width)
    if shorter <= size:
        return height, width
    return round(height * size / shorter), round(width * size / shorter)


def grayscale(
    images: Float[Tensor, "n 3 h w"], mask: Bool[Tensor, " n"], *, inplace: bool = False
) -> Float[Tensor, "n 3 h w"]:
    """Take the colour out of the chosen images; the three channels are equal then.

    >>> grayscale(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), torch.tensor([True])).flatten()
    tensor([0.2989, 0.2989, 0.2989])
    """
    return _where_(images if inplace else images.clone(), mask, lambda chosen: _luma(chosen).expand_as(chosen))


def _luma(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Source: ITU-R BT.601, with the rounding of torchvision."""
    return images[:, :1] * 0.2989 + images[:, 1:2] * 0.587 + images[:, 2:] * 0.114


def _blend(
    from_: Float[Tensor, "..."], images: Float[Tensor, "n 3 h w"], factors: Float[Tensor, " n"]
) -> Float[Tensor, "n 3 h w"]:
    """The image at 1, `from_` at 0, and beyond the image above 1."""
    return torch.lerp(from_, images, factors.to(images)[:, None, None, None]).clamp(0, 1)


def adjust_brightness(images: Float[Tensor, "n 3 h w"], factors: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Blend with black: 0 gives black, 1 the image. Images in 0..1, factors at least 0."""
    return _blend(images.new_zeros(()), images, factors)


def adjust_contrast(images: Float[Tensor, "n 3 h w"], factors: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Blend with the mean gray of the image: 0 gives that gray, 1 the image. Images in 0..1, factors at least 0."""
    return _blend(_luma(images).mean((1, 2, 3), keepdim=True), images, factors)


def adjust_saturation(images: Float[Tensor, "n 3 h w"], factors: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Blend with the gray image: 0 takes all colour out, 1 gives the image. Images in 0..1, factors at least 0."""
    return _blend(_luma(images), images, factors)


def adjust_hue(images: Float[Tensor, "n 3 h w"], factors: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Turn the colours round the circle; gray stays gray.

    Args:
        images: `(N, 3, H, W)`, in 0..1.
        factors: `(N,)`, in turns, in `[-0.5, 0.5]`; 0 gives the image.
    Source: Smith 1978, Color gamut transform pairs (the HSV hexcone).

    >>> adjust_hue(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), torch.tensor([1 / 3])).flatten().round()
    tensor([0., 1., 0.])
    """
    red, green, blue = images.unbind(1)
    low, high = images.aminmax(dim=1)
    chroma = high - low
    divisor = torch.where(chroma > 0, chroma, 1)
    sixth = torch.where(
        high == red,
        (green - blue) / divisor,
        torch.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixth = sixth + 6 * factors.to(images)[:, None, None]  # (N, H, W)
    # Each channel is `high` on a third of the circle, `low` on the opposite third, and a ramp between.
    distance = (sixth.unsqueeze(1) + images.new_tensor([5, 3, 1])[:, None, None]) % 6  # (N, 3, H, W)
    ramp = torch.minimum(distance, 4 - distance).clamp(0, 1)
    return high.unsqueeze(1) - chroma.unsqueeze(1) * ramp


def color_jitter(
    images: Float[Tensor, "n 3 h w"],
    factors: Float[Tensor, "n 4"],
    order: Int[Tensor, "n 4"],
    mask: Bool[Tensor, " n"],
    *,
    inplace: bool = False,
) -> Float[Tensor, "n 3 h w"]:
    """Change brightness, contrast, saturation and hue of the chosen images, each image in its own order.

    Args:
        images: `(N, 3, H, W)`, in 0..1.
        factors: `(N, 4)`, as `Parameters.factors`; 1, and 0 for hue, change nothing.
        order: `(N, 4)`, a permutation of 0..3: which of the four comes first, second, ...
        mask: `(N,)`, the images to change.
    Returns: `(N, 3, H, W)`, in 0..1.
    """
    operations = ((adjust_brightness, 1), (adjust_contrast, 1), (adjust_saturation, 1), (adjust_hue, 0))
    result = images if inplace else images.clone()
    for place in range(4):
        for number, (adjust, neutral) in enumerate(operations):
            now = mask & (order[:, place] == number) & (factors[:, number] != neutral)
            chosen = now.nonzero()[:, 0]
            result[chosen] = adjust(result[chosen], factors[chosen, number])
    return result


def cutmix(images: Float[Tensor, "n k h w"], box: Int[Tensor, "n 4"]) -> Float[Tensor, "n k h w"]:
    """Put a box of the image half a batch away into each image, at the same place.

    Args:
        images: `(N, K, H, W)`.
        box: `(N, 4)`, top, left, height and width in pixels, inside the image; a height or width of 0 leaves an image
            as it is.
    Returns: `(N, K, H, W)`; the other image of row `i` is `images.roll(N // 2, 0)[i]`.
    Source: Yun et al. 2019, arXiv:1905.04899, section 3.

    >>> cutmix(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 1, 3), torch.tensor([[0, 1, 1, 2], [0, 0, 0, 0]]))
    tensor([[[[1., 2., 2.]]],
            [[[2., 2., 2.]]]])
    """
    top, left, height, width = box.to(images.device)[:, :, None].unbind(1)

    def inside(start: Tensor, length: Tensor, size: int) -> Tensor:
        offset = torch.arange(size, device=images.device) - start
        return (offset >= 0) & (offset < length)

    rows, columns = inside(top, height, images.shape[-2]), inside(left, width, images.shape[-1])
    mask = (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
    return torch.where(mask, images.roll(len(images) // 2, 0), images)


def cutout(
    images: Float[Tensor, "n k h w"],
    row: Int[Tensor, " n"],
    column: Int[Tensor, " n"],
    *,
    side: int,
    inplace: bool = False,
) -> Float[Tensor, "n k h w"]:
    """Set a square of each image to 0, the part of it that lies inside.

    Args:
        images: `(N, K, H, W)`, normalised, so that 0 is the mean colour.
        row, column: `(N,)`, the centre; with an even side, the pixel below and to the right of the centre.
        side: of the square, in pixels.
    Returns: `(N, K, H, W)`.
    Source: DeVries and Taylor 2017, arXiv:1708.04552.

    >>> cutout(torch.ones(1, 1, 2, 4), torch.tensor([0]), torch.tensor([3]), side=2)
    tensor([[[[1., 1., 0., 0.],
              [1., 1., 1., 1.]]]])
    """

    def inside(centre: Tensor, size: int) -> Tensor:
        offset = torch.arange(size, device=images.device) - (centre.to(images.device)[:, None] - side // 2)
        return (offset >= 0) & (offset < side)

    rows, columns = inside(row, images.shape[-2]), inside(column, images.shape[-1])
    return (images if inplace else images.clone()).masked_fill_(
        (rows[:, :, None] & columns[:, None, :]).unsqueeze(1), 0
    )
