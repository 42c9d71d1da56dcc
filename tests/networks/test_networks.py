"""Networks against the papers' descriptions: parameters, shapes, and forward passes written out."""

import math

import pytest
import safetensors.torch
import timm
import torch
from torch import nn
from torch.nn import functional as F

from longtail import recipe
from longtail.networks import (
    Airbench,
    CosineClassifier,
    ImageClassifier,
    LinearClassifier,
    ProjectionMLP,
    ResNet9,
    ResNet32,
    TimmBackbone,
    parameters_in_millions,
)
from longtail.networks.equivariant import MirroredConv3x3
from longtail.recipe import build
from support import messages


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def parts(network, kind):
    return [part for part in network.modules() if isinstance(part, kind)]


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def lived_in(network):
    """In evaluation mode, with batch statistics as training leaves them: neither 0 nor 1."""
    for norm in parts(network, nn.BatchNorm2d):
        state = norm.state_dict()
        for name in ("weight", "running_var"):
            state[name].uniform_(0.5, 1.5)
        for name in ("bias", "running_mean"):
            state[name].normal_()
    return network.eval()


def multiply_adds(network, images):
    """Counted where they happen: outputs of each convolution times what it takes to compute one."""
    done = []

    def add(layer, _inputs, output):
        done.append(output.numel() * layer.weight[0].numel())

    for layer in parts(network, (nn.Conv2d, nn.Linear)):
        layer.register_forward_hook(add)
    network(images)
    return sum(done) / len(images)


def test_resnet32_has_the_parameters_of_the_literature():
    def block(channels_in, channels_out):
        return 9 * (channels_in * channels_out + channels_out**2) + 2 * 2 * channels_out

    stem = 9 * 3 * 16 + 2 * 16
    stages = 5 * block(16, 16) + block(16, 32) + 4 * block(32, 32) + block(32, 64) + 4 * block(64, 64)
    network = ImageClassifier(ResNet32(), LinearClassifier(64, 10))
    assert parameters(network) == stem + stages + (64 + 1) * 10 == 464_154


def test_resnet32_has_32_layers():
    network = ImageClassifier(ResNet32(), LinearClassifier(64, 10))
    convolutions = parts(network, nn.Conv2d)
    assert len(convolutions) == 31 and len(parts(network, nn.Linear)) == 1
    assert all(c.kernel_size == (3, 3) and c.bias is None for c in convolutions)
    assert [c.out_channels for c in convolutions] == [16] * 11 + [32] * 10 + [64] * 10
    assert [i for i, c in enumerate(convolutions) if c.stride == (2, 2)] == [11, 21]


def test_resnet32_is_that_of_ldam():
    network = lived_in(ResNet32())
    layers = zip(parts(network, nn.Conv2d), parts(network, nn.BatchNorm2d), strict=True)

    def conv_norm(x, stride=1):
        conv, norm = next(layers)
        x = F.conv2d(x, conv.weight, stride=stride, padding=1)
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    images = torch.randn(3, 3, 32, 32)
    x = F.relu(conv_norm(images))
    for block in range(15):
        halves = block in (5, 10)
        y = conv_norm(F.relu(conv_norm(x, stride=2 if halves else 1)))
        if halves:
            zeros = torch.zeros(len(x), x.shape[1] // 2, x.shape[2] // 2, x.shape[3] // 2)
            x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1)
        x = F.relu(y + x)
    torch.testing.assert_close(network(images), F.avg_pool2d(x, 8).flatten(1))


@pytest.mark.parametrize(("block", "channels", "rows"), [(0, 16, None), (5, 16, slice(8, 24)), (10, 32, slice(16, 48))])
def test_shortcut_has_no_parameters_and_keeps_every_second_pixel(block, channels, rows):
    layer = ResNet32().blocks[block].eval()
    kinds = [nn.Conv2d, nn.BatchNorm2d] * 2
    assert all(isinstance(part, kind) for part, kind in zip(layer.children(), kinds, strict=True))
    for convolution in parts(layer, nn.Conv2d):
        nn.init.zeros_(convolution.weight)
    x = torch.randn(2, channels, 8, 6)
    wanted = x
    if rows is not None:
        wanted = torch.zeros(2, 2 * channels, 4, 3)
        wanted[:, rows] = x[:, :, [0, 2, 4, 6]][..., [0, 2, 4]]
    assert torch.equal(layer(x), wanted.clamp(min=0))


@pytest.mark.parametrize("make", [ResNet32, ResNet9, Airbench, lambda: Airbench(mirrored=True)])
def test_weights_start_from_kaimings_normal_distribution(make):
    for convolution in parts(make(), nn.Conv2d):
        wanted = math.sqrt(2 / convolution.weight[0].numel())
        assert convolution.weight.std().item() == pytest.approx(wanted, rel=0.15)
        # A uniform distribution of this variance ends at 1.73 standard deviations.
        assert convolution.weight.abs().max() > 2.2 * wanted


def test_linear_classifier_starts_from_kaimings_normal_distribution():
    weight = LinearClassifier(256, 100).weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.05)
    assert weight.abs().max() > 3 * math.sqrt(2 / 256)


def test_resnet9_is_wide_shallow_and_as_cheap_as_it_says():
    network = ResNet9()
    assert parameters(network) == pytest.approx(1.6e6, rel=0.05)
    assert len(parts(network, nn.Conv2d)) + 1 == 9
    nine, thirty_two = (multiply_adds(net, torch.zeros(2, 3, 32, 32)) for net in (network, ResNet32()))
    assert nine == pytest.approx(96e6, rel=0.01)
    assert nine / thirty_two == pytest.approx(1.4, abs=0.05)


def test_resnet9_residuals_add_to_what_they_got():
    network = lived_in(ResNet9(4))
    for place, channels in ((2, 8), (5, 32)):
        residual, x = network.layers[place], torch.randn(2, channels, 4, 4)
        y = x
        for convolution, norm in zip(parts(residual, nn.Conv2d), parts(residual, nn.BatchNorm2d), strict=True):
            y = F.relu(norm(F.conv2d(y, convolution.weight, padding=1)))
        torch.testing.assert_close(residual(x), x + y)


def test_resnet9_takes_the_maximum_of_each_channel():
    network = lived_in(ResNet9(4))
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(images), network.layers(images).flatten(2).max(2).values)


@pytest.mark.parametrize("width", [4, 32])
def test_resnet9_widths(width):
    network = ResNet9(width)
    assert [c.out_channels // width for c in parts(network, nn.Conv2d)] == [1, 2, 2, 2, 4, 8, 8, 8]
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, network.dim) == (2, 8 * width)


def test_airbench_is_small_and_as_cheap_as_it_says():
    network = Airbench()
    assert parameters(network) == pytest.approx(1.2e6, rel=0.05)
    assert multiply_adds(network, torch.zeros(2, 3, 32, 32)) == pytest.approx(81e6, rel=0.01)
    assert [c.kernel_size for c in parts(network, nn.Conv2d)] == [(2, 2)] + [(3, 3)] * 6


def test_airbench_pools_before_it_normalises():
    network, x = lived_in(Airbench(4)), torch.randn(2, 24, 9, 8)
    first, second = parts(network.stages[0], nn.Conv2d)
    norms = parts(network.stages[0], nn.BatchNorm2d)
    y = F.relu(norms[0](F.max_pool2d(F.conv2d(x, first.weight, padding=1), 2)))
    y = F.relu(norms[1](F.conv2d(y, second.weight, padding=1)))
    assert y.shape == (2, 4, 4, 4)
    torch.testing.assert_close(network.stages[0](x), y)


def test_a_deep_airbench_has_a_shortcut_around_two_convolutions_of_each_stage():
    network, x = lived_in(Airbench(4, depth=3)), torch.randn(2, 24, 9, 8)
    convolutions = [c.weight for c in parts(network.stages[0], nn.Conv2d)]
    norms = parts(network.stages[0], nn.BatchNorm2d)
    assert len(convolutions) == len(norms) == 3
    y = F.relu(norms[0](F.max_pool2d(F.conv2d(x, convolutions[0], padding=1), 2)))
    branch = F.relu(norms[1](F.conv2d(y, convolutions[1], padding=1)))
    branch = norms[2](F.conv2d(branch, convolutions[2], padding=1))
    torch.testing.assert_close(network.stages[0](x), F.relu(y + branch))


@pytest.mark.parametrize(("depth", "convolutions"), [(2, 7), (3, 10)])
def test_a_recipe_chooses_the_depth_of_airbench(depth, convolutions):
    chosen = recipe.load("digits-lt/ce", recipe.parse_overrides(["network.kind=airbench", f"network.depth={depth}"]))
    network = build.classifier(chosen.network, chosen.head, classes=10)
    assert len(parts(network.backbone, nn.Conv2d)) == convolutions


def test_a_deep_airbench_is_as_large_and_as_dear_as_it_says():
    network = Airbench(depth=3)
    assert parameters(network) == pytest.approx(1.93e6, rel=0.01)
    assert multiply_adds(network, torch.zeros(2, 3, 32, 32)) == pytest.approx(109e6, rel=0.01)


def test_airbench_takes_the_maximum_of_each_channel():
    network, images = lived_in(Airbench(4)), torch.randn(2, 3, 16, 16)
    x = network.stages(F.relu(F.conv2d(F.pad(images, (1, 0, 1, 0)), network.stem.weight, network.stem.bias)))
    torch.testing.assert_close(network(images), x.flatten(2).max(2).values)


@pytest.mark.parametrize("width", [4, 64])
def test_airbench_widths(width):
    network = Airbench(width)
    assert [c.out_channels for c in parts(network, nn.Conv2d)] == [24] + [n * width for n in (1, 1, 2, 2, 4, 4)]
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, network.dim) == (2, 4 * width)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (37, 24), (24, 37)])
def test_a_mirrored_airbench_says_the_same_of_an_image_and_its_mirror_image(depth, train, size):
    images = torch.randn(4, 3, *size)
    for mirrored in (True, False):
        network = lived_in(Airbench(8, depth=depth, mirrored=mirrored)).train(train)
        features = network(images)
        same = torch.allclose(network(images.flip(3)), features, rtol=1e-4, atol=1e-4 * features.abs().max().item())
        assert same == (mirrored and size[1] % 8 == 0)


def test_a_mirrored_airbench_has_half_of_the_weights_and_as_much_work():
    plain, mirrored = Airbench(), Airbench(mirrored=True)
    assert parameters(mirrored) == pytest.approx(parameters(plain) / 2, rel=0.01)
    work = [multiply_adds(network, torch.zeros(2, 3, 32, 32)) for network in (plain, mirrored)]
    assert work[0] == pytest.approx(work[1], rel=0.01)


def test_a_recipe_chooses_a_mirrored_airbench():
    chosen = recipe.load("digits-lt/ce", {"network.kind": "airbench", "network.mirrored": True})
    network = build.classifier(chosen.network, chosen.head, classes=10)
    assert len(parts(network, MirroredConv3x3)) == 6


@pytest.mark.parametrize("make", [ResNet32, ResNet9, Airbench, lambda: Airbench(mirrored=True)])
@pytest.mark.parametrize("size", [(32, 32), (8, 8), (40, 24)])
def test_one_feature_vector_an_image(make, size):
    network = make()
    features = network(torch.randn(2, 3, *size))
    assert features.shape == (2, network.dim)
    assert not torch.equal(features[0], features[1])


@pytest.mark.parametrize(
    "make",
    [
        ResNet32,
        lambda: ResNet9(8),
        lambda: Airbench(16),
        lambda: Airbench(8, depth=3),
        lambda: Airbench(16, mirrored=True),
        lambda: Airbench(8, depth=3, mirrored=True),
    ],
)
def test_every_parameter_learns(make):
    backbone = make()
    network = ImageClassifier(backbone, LinearClassifier(backbone.dim, 3))
    F.cross_entropy(network(torch.randn(8, 3, 16, 16)), torch.arange(8) % 3).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("make", [ResNet32, ResNet9, Airbench, lambda: Airbench(mirrored=True)])
def test_channels_last_changes_nothing(make):
    network, images = lived_in(make()), torch.randn(4, 3, 32, 32)
    before = network(images)
    after = network.to(memory_format=torch.channels_last)(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


# test_mambaout and MobileNetV3 have features of another length before pooling than before their classifier.
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_mambaout", "mobilenetv3_small_050"])
def test_timm_backbone_by_name(name):
    backbone = TimmBackbone(name, pretrained=False).eval()
    network = ImageClassifier(backbone, LinearClassifier(backbone.dim, 5))
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 160, 160)).shape == (2, 5)
    assert type(backbone.model) is type(timm.create_model(name))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", "unknown timm model 'resnet5'; did you mean resnet50 or"),
        ("resnet50.a1in1k", r"unknown timm model 'resnet50.a1in1k'; did you mean resnet50\.a1_in1k or"),
        ("", r"unknown timm model ''; see timm.list_models\(\)"),
    ],
)
@pytest.mark.parametrize("pretrained", [False, True])
def test_timm_backbone_unknown(name, message, pretrained):
    with pytest.raises(ValueError, match=message):
        TimmBackbone(name, pretrained=pretrained)


def test_pretrained_weights_that_cannot_be_had(monkeypatch):
    def offline(name, *, pretrained, num_classes):
        raise OSError(f"no route to host for {name} {pretrained} {num_classes}")

    monkeypatch.setattr(timm, "create_model", offline)
    message = r"weights of 'resnet10t' cannot be had \(OSError\); .*HF_HOME.* set network\.pretrained to false"
    with pytest.raises(ValueError, match=message) as caught:
        TimmBackbone("resnet10t", pretrained=True)
    assert isinstance(caught.value.__cause__, OSError)
    # Nothing is fetched without `pretrained`: then it is no matter of weights.
    with pytest.raises(OSError, match="no route to host for resnet10t False 0"):
        TimmBackbone("resnet10t", pretrained=False)


def saved(folder, values, name="weights.safetensors"):
    file = folder / name
    if file.suffix == ".safetensors":
        safetensors.torch.save_file(values, file)
    else:
        torch.save(values, file)
    return file


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_mambaout", "deit_tiny_distilled_patch16_224"])
@pytest.mark.parametrize("kind", ["safetensors", "pth", "checkpoint"])
def test_timm_backbone_starts_from_a_file(tmp_path, name, kind):
    values = timm.create_model(name).state_dict()
    match kind:
        case "safetensors":
            file = saved(tmp_path, values)
        case "pth":
            file = saved(tmp_path, values, "weights.pth")
        case _:  # as a training under DistributedDataParallel saves it
            nested = {"state_dict": {f"module.{key}": value for key, value in values.items()}, "epoch": 3}
            file = saved(tmp_path, nested, "last.ckpt")
    model = TimmBackbone(name, pretrained=False, weights=file).model
    state = model.state_dict()
    assert 0 < len(state) < len(values)
    for key, value in state.items():
        assert torch.equal(value, values[key])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v.pop("conv1.0.weight"),
            r"does not fit network test_resnet: it lacks conv1\.0\.weight \(1 such in all\)",
        ),
        (lambda v: v.update(more=torch.zeros(1)), r"does not fit network test_resnet: it has more \(1 such in all\)"),
        (
            lambda v: v.update({"bn1.weight": torch.zeros(3)}),
            "does not fit network test_resnet: .*size mismatch for bn1",
        ),
        (lambda v: v.clear(), "does not fit network test_resnet: it lacks conv1"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, change, message):
    values = timm.create_model("test_resnet").state_dict()
    change(values)
    with pytest.raises(ValueError, match=message) as caught:
        TimmBackbone("test_resnet", pretrained=False, weights=saved(tmp_path, values, "weights.pth"))
    messages.one_line(caught)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_files_that_hold_no_weights_are_refused(tmp_path, name):
    file = tmp_path / name
    for content in (None, b"", b"not weights", b"PK\x03\x04"):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read as weights of a network") as caught:
            TimmBackbone("test_resnet", pretrained=False, weights=file)
        messages.one_line(caught, file)
    with pytest.raises(ValueError, match="cannot be read as weights of a network"):
        TimmBackbone("test_resnet", pretrained=False, weights=saved(tmp_path, [1, 2], "list.pth"))


def test_cosine_classifier_by_hand():
    head = CosineClassifier(2, 3, scale=30.0)
    head.weight.data = torch.tensor([[0.0, 2.0], [3.0, 4.0], [-0.1, 0.0]])
    torch.testing.assert_close(head(torch.tensor([[5.0, 0.0]])), torch.tensor([[0.0, 18.0, -30.0]]))


def test_cosine_classifier_knows_directions_only():
    head, features = CosineClassifier(8, 5, scale=30.0), torch.randn(64, 8)
    logits = head(features)
    assert logits.abs().max() <= 30 * (1 + 1e-6)
    torch.testing.assert_close(head(head.weight * 7).diagonal(), torch.full((5,), 30.0))
    lengths = torch.rand(64, 1) + 0.1
    torch.testing.assert_close(head(features * lengths * 100), logits)
    head.weight.data *= torch.tensor([[0.1], [1.0], [5.0], [50.0], [1e3]])
    torch.testing.assert_close(head(features), logits)
    assert torch.equal(head(torch.zeros(1, 8)), torch.zeros(1, 5))


def test_projection_is_one_hidden_layer():
    mlp, x = ProjectionMLP(4, hidden=6, out=3), torch.randn(5, 4)
    into, out = parts(mlp, nn.Linear)
    assert into.weight.shape == (6, 4) and out.weight.shape == (3, 6)
    hidden = (x @ into.weight.T + into.bias).clamp(min=0)
    torch.testing.assert_close(mlp(x), hidden @ out.weight.T + out.bias)


def test_image_classifier_is_head_after_backbone():
    backbone, head = ResNet9(4).eval(), CosineClassifier(32, 7, scale=1.0)
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(ImageClassifier(backbone, head)(images), head(backbone(images)))


def test_parameters_in_millions_counts_what_is_trained():
    network = nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 10))
    network[0].requires_grad_(False)
    assert parameters_in_millions(network) == 1010 / 1e6
