"""CutMix: which pixels come from which image, how the labels share them, and what a method makes of it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from longtail import recipe
from longtail.data import augment as A
from longtail.data.augment.pixels import cutmix
from longtail.data.batches import Batch, Mixed
from longtail.optim.schedules import Clock
from longtail.recipe import build

OFF = A.Augmentation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
ALWAYS = replace(OFF, cutmix=1.0)
sides = st.integers(1, 9)


def mixed(on: A.Augmentation, *, views: int = 1, batch: int = 8, height: int = 16, width: int = 16, seed: int = 0):
    images = torch.arange(batch).view(1, batch, 1, 1, 1).expand(views, batch, 3, height, width).float()
    parameters = A.draw(on, views=views, batch=batch, height=height, width=width, key=(seed, 0, 0))
    return A.mixed(images, torch.arange(batch), parameters)


def test_pixels_one_by_one():
    images = torch.rand(4, 2, 5, 6)
    box = torch.tensor([[1, 2, 3, 4], [0, 0, 5, 6], [2, 2, 0, 3], [4, 5, 1, 1]])
    expected = images.clone()
    for row, (top, left, height, width) in enumerate(box.tolist()):
        for y in range(top, top + height):
            for x in range(left, left + width):
                expected[row, :, y, x] = images[(row - 2) % 4, :, y, x]
    assert torch.equal(cutmix(images, box), expected)


@given(batch=st.integers(1, 7), height=sides, width=sides, seed=st.integers(0, 99))
def test_labels_share_an_image_as_its_pixels_do(batch, height, width, seed):
    done = mixed(ALWAYS, batch=batch, height=height, width=width, seed=seed)
    assert done.mixed is not None
    own = (done.images[0, :, 0] == done.labels.view(-1, 1, 1)).float().mean((1, 2))
    other = (done.images[0, :, 0] == done.mixed.labels.view(-1, 1, 1)).float().mean((1, 2))
    different = done.labels != done.mixed.labels
    torch.testing.assert_close(other[different], done.mixed.share[different])
    torch.testing.assert_close((own + other)[different], torch.ones(batch)[different])
    assert ((done.mixed.share >= 0) & (done.mixed.share <= 1)).all()


def test_the_probability_and_the_sizes():
    n = 20_000
    drawn = A.draw(replace(OFF, cutmix=0.3), views=1, batch=n, height=1000, width=500, key=(0, 0, 0)).cutmix
    assert drawn is not None
    top, left, height, width = drawn[0].unbind(1)
    touched = height * width > 0
    assert abs(touched.double().mean() - 0.3) < 4.5 * (0.3 * 0.7 / n) ** 0.5 + 0.001
    assert ((top >= 0) & (left >= 0) & (top + height <= 1000) & (left + width <= 500)).all()
    # A side of q times the image's, about a uniform centre, overlaps it by q - q ** 2 / 4; q ** 2 is uniform.
    share = (height * width).double()[touched] / 500_000
    assert abs(share.mean() - (1 / 2 - 1 / 5 + 1 / 48)) < 4.5 * share.std() / touched.sum() ** 0.5 + 0.001
    # Boxes that were not clipped have the image's own shape.
    whole = touched & (top > 0) & (left > 0) & (top + height < 1000) & (left + width < 500)
    assert (height[whole] - 2 * width[whole]).abs().max() <= 3


def test_off_leaves_the_batch_alone():
    done = mixed(OFF)
    assert done.mixed is None
    assert torch.equal(done.labels, torch.arange(8))


def test_one_image_has_no_partner_but_itself():
    done = mixed(ALWAYS, batch=1)
    assert (done.images == 0).all()
    assert done.mixed is not None
    assert torch.equal(done.mixed.labels, done.labels)


def test_two_processes_mix_as_one_does():
    batch, images = 8, torch.rand(1, 8, 3, 16, 16)
    parameters = A.draw(ALWAYS, views=1, batch=batch, height=16, width=16, key=(3, 0, 0))
    whole = A.mixed(images, torch.arange(batch), parameters)
    assert whole.mixed is not None
    for rank in range(2):
        rows = slice(rank, batch, 2)
        part = A.mixed(images[:, rows], torch.arange(batch)[rows], parameters.rows(rows))
        assert part.mixed is not None
        assert torch.equal(part.images, whole.images[:, rows])
        assert torch.equal(part.mixed.labels, whole.mixed.labels[rows])
        assert torch.equal(part.mixed.share, whole.mixed.share[rows])


@pytest.mark.parametrize("smoothing", [0, 0.3])
@pytest.mark.parametrize("kind", ["ce", "logit-adjustment"])
def test_the_loss_counts_both_labels_by_their_shares(kind, smoothing):
    torch.manual_seed(0)
    settings = recipe.load(
        f"digits-lt/{kind}", recipe.parse_overrides(["network.width=4", f"method.smoothing={smoothing}"])
    )
    counts = [40, 16, 6]
    method = build.method(settings, torch.tensor(counts).numpy())
    images, own, other = torch.randn(1, 2, 3, 16, 16), torch.tensor([0, 2]), torch.tensor([1, 0])
    batch = Batch(images, own, Mixed(other, torch.tensor([0.25, 1.0])))
    prior = torch.tensor(counts) / sum(counts) if kind == "logit-adjustment" else torch.ones(3)
    log_p = F.log_softmax(method.classifier(images[0]) + prior.log(), 1)
    own = torch.tensor([[0.75, 0.25, 0], [1, 0, 0]])
    expected = -(((1 - smoothing) * own + smoothing * prior / prior.sum()) * log_p).sum() / 2
    torch.testing.assert_close(method((batch,), Clock(0, 10, 0, 1)).loss, expected)


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_an_impossible_probability_is_named(value):
    with pytest.raises(ValueError, match=f"cutmix is {value}"):
        replace(OFF, cutmix=value)
