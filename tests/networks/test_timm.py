"""Backbones of timm: by name, with its weights, and with those of a file."""

import pytest
import safetensors.torch
import timm
import torch

from longtail.networks import (
    ImageClassifier,
    LinearClassifier,
    TimmBackbone,
)
from support import messages


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
