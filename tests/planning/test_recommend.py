"""Recommendations for a training on custom data: what is chosen, why, and who decides."""

from collections.abc import Mapping

import numpy as np
import pytest

from longtail import recipe
from longtail.data import worker_pool
from longtail.data.audit.audit import sizes_of
from longtail.data.source import Listing, Source
from longtail.planning import recommend

NONE: Mapping[str, object] = {}


def listing(images, *, parts=None):
    source = Source(np.zeros(images, np.int64), ("wren",), lambda _: np.zeros((8, 8, 3), np.uint8), [""] * images)
    return Listing(source, "image folder", parts)


def sizes(*pairs):
    return sizes_of(np.array(pairs))


def advise(images, overrides=NONE, *, available=lambda _: False, **given):
    """Recommendations without a look at the network."""
    return recommend.recommend(images, overrides, available=available, **given)


def network(chosen: recipe.Recipe) -> recipe.Timm:
    assert isinstance(chosen.network, recipe.Timm)
    return chosen.network


def settings(advised, overrides=NONE):
    return recipe.load(advised.recipe.value, {"data.name": "own", **advised.overrides, **overrides})


@pytest.mark.parametrize(
    ("size", "template", "image_size"),
    [
        ((8, 8), "own/small", None),
        ((64, 48), "own/small", None),
        ((96, 96), "own/small", None),
        ((100, 97), "own/large", 128),
        ((160, 200), "own/large", 160),
        ((4000, 3000), "own/large", 224),
    ],
)
def test_the_size_of_images_decides_the_recipe(size, template, image_size):
    advised = advise(listing(10_000), sizes=sizes(size, size))
    assert advised.recipe.value == template
    assert settings(advised).data.image_size == image_size


@pytest.mark.parametrize(("shorter", "side"), [(10, 32), (45, 48), (90, 88), (96, 96)])
def test_small_images_of_several_sizes_are_made_one(shorter, side):
    advised = advise(listing(10_000), sizes=sizes((shorter, 200), (shorter, 100)))
    assert settings(advised).data.image_size == side


def test_long_strips_are_cut():
    assert settings(advise(listing(1000), sizes=sizes((800, 32)))).data.image_size == 32


@pytest.mark.parametrize("images", [2, 3, 10, 50, 200, 1000, 30_000, 400_000])
@pytest.mark.parametrize("size", [(32, 32), (500, 400)])
def test_an_epoch_has_batches_and_a_training_steps(images, size):
    chosen = settings(advise(listing(images), sizes=sizes(size)))
    training = max(1, round(images * 0.8))
    assert 2 <= chosen.batch_size <= max(2, training)
    assert training // chosen.batch_size >= 8 or chosen.batch_size <= 16
    assert chosen.batch_size >= 16 or training < 16
    least, most = 20, 400
    assert least <= chosen.epochs <= most
    steps = chosen.epochs * max(1, training // chosen.batch_size)
    if least < chosen.epochs < most:
        assert steps == pytest.approx(4000, rel=0.1)
    template = recipe.load(advise(listing(images), sizes=sizes(size)).recipe.value, {"data.name": "own"})
    assert chosen.batch_size <= template.batch_size
    rate = template.optimizer.lr * chosen.batch_size / template.batch_size
    assert chosen.optimizer.lr == pytest.approx(rate, rel=0.01)


def test_images_that_the_data_tests_on_are_not_learnt():
    parts = np.repeat([0, 2], [100, 900])
    advised = advise(listing(1000, parts=parts), sizes=sizes((32, 32)))
    assert "about 100 training images" in " ".join(advised.reasons)
    assert settings(advised).batch_size == 16


def test_every_choice_has_a_reason_that_names_the_setting():
    advised = advise(listing(100), sizes=sizes((300, 200), (400, 300)))
    assert advised.overrides
    for setting, value in advised.overrides.items():
        assert any(reason.startswith(f"{setting}=") for reason in advised.reasons), value
    assert set(advised.to_dict()["overrides"]) == {reason.partition(": ")[0] for reason in advised.reasons[1:]}
    assert any(reason.startswith("recipe=own/large: ") for reason in advised.reasons)


def test_the_user_decides():
    own = {"epochs": 3, "data.image_size": 64, "batch_size": 16}
    advised = advise(listing(1000), own, sizes=sizes((300, 200)))
    assert not advised.overrides.keys() & own.keys()
    chosen = settings(advised, own)
    assert (chosen.epochs, chosen.data.image_size, chosen.batch_size) == (3, 64, 16)


def test_a_recipe_of_the_users_is_left_as_it_is_but_for_a_batch_that_is_too_large():
    template = "digits-lt/ce"
    assert advise(listing(10_000), sizes=sizes((8, 8)), template=template).overrides == {}
    few = advise(listing(20), sizes=sizes((8, 8)), template=template)
    assert [*few.overrides] == ["batch_size", "optimizer.lr"]


@pytest.mark.parametrize("gpu", [True, False])
def test_a_smaller_network_without_a_gpu(monkeypatch, gpu):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    chosen = settings(advise(listing(3000), sizes=sizes((300, 200))))
    assert network(chosen).name == ("resnet50" if gpu else "resnet18")
    own = {"network.name": "resnet34"}
    chosen = settings(advise(listing(3000), own, sizes=sizes((300, 200))), own)
    assert network(chosen).name == "resnet34"


@pytest.mark.parametrize("there", [True, False])
def test_pretrained_weights_are_taken_where_they_can_be_had(there):
    advised = advise(listing(3000), sizes=sizes((300, 200)), available=lambda _: there)
    chosen = settings(advised)
    assert network(chosen).pretrained is there
    assert chosen.epochs < 100 if there else chosen.epochs > 100
    assert ("network.weights=FILE" in " ".join(advised.reasons)) is not there


def test_weights_in_a_file_are_not_looked_for_elsewhere(tmp_path):
    own = {"network.weights": str(tmp_path / "weights.pt")}
    advised = advise(listing(3000), own, sizes=sizes((300, 200)), available=lambda _: pytest.fail("asked"))
    assert network(settings(advised, own)).weights == str(tmp_path / "weights.pt")


def test_without_a_network_no_weights_are_available(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda *_, **__: 1 / 0)
    assert not recommend.weights_available("resnet18")
    assert not recommend.weights_available("resnet32ts_no_such_model")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(tmp_path))
    assert recommend.weights_available("resnet18")


# --- where images are kept --------------------------------------------------------------------------------------------


def test_many_small_images_are_not_kept_in_memory():
    few, many = (settings(advise(listing(images), sizes=sizes((64, 64)))).data for images in (100_000, 1_000_000))
    assert (few.in_memory, few.workers) == (True, 0)
    assert (many.in_memory, many.workers) == (False, worker_pool.cores())
    own = {"data.in_memory": True}
    assert settings(advise(listing(1_000_000), own, sizes=sizes((64, 64))), own).data.in_memory


@pytest.mark.parametrize(("room", "packed"), [(3.1e9, None), (2.9e9, False)])
def test_images_are_not_decoded_into_a_file_that_would_fill_half_of_the_disk(monkeypatch, room, packed):
    """10,000 images of 256 x 200 pixels take 1.5 GB; at 128 pixels they are kept at 187 x 146."""
    monkeypatch.setattr(recommend, "_free", lambda _: room)
    as_they_are = advise(listing(10_000), sizes=sizes((256, 200)), template="own/small")
    own = {"data.image_size": None}
    assert settings(as_they_are).data.packed is None, "they are shrunk"
    advised = advise(listing(10_000), own, sizes=sizes((256, 200)), template="own/small")
    assert settings(advised, own).data.packed is packed


def test_free_room_of_a_folder_that_is_not_made_yet(tmp_path):
    assert recommend._free(tmp_path / "a" / "b") == recommend._free(tmp_path) > 0
