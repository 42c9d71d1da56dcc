"""Advice on the training of somebody's own images: what is chosen, why, and who decides."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail import recipe
from longtail.data import sources, worker_pool
from longtail.data.audit.audit import sizes_of
from longtail.data.source import Listing, Source
from longtail.planning import recommend
from support import messy_data


def listing(images, *, parts=None):
    source = Source(np.zeros(images, np.int64), ("wren",), lambda _: np.zeros((8, 8, 3), np.uint8), [""] * images)
    return Listing(source, "image folder", parts)


def sizes(*pairs):
    return sizes_of(np.array(pairs))


@pytest.fixture(autouse=True)
def without_network(monkeypatch):
    monkeypatch.setattr(recommend, "_at_hand", lambda _: False)


def network(chosen: recipe.Recipe) -> recipe.Timm:
    assert isinstance(chosen.network, recipe.Timm)
    return chosen.network


def settings(advised, *overrides):
    return recipe.load(advised.recipe, recipe.parse_overrides(["data.name=own", *advised.overrides, *overrides]))


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
    advised = recommend.advise(listing(10_000), sizes=sizes(size, size))
    assert advised.recipe == template
    assert settings(advised).data.image_size == image_size


@pytest.mark.parametrize(("shorter", "side"), [(10, 32), (45, 48), (90, 88), (96, 96)])
def test_small_images_of_several_sizes_are_made_one(shorter, side):
    advised = recommend.advise(listing(10_000), sizes=sizes((shorter, 200), (shorter, 100)))
    assert settings(advised).data.image_size == side


def test_long_strips_are_cut():
    assert settings(recommend.advise(listing(1000), sizes=sizes((800, 32)))).data.image_size == 32


@pytest.mark.parametrize("images", [2, 3, 10, 50, 200, 1000, 30_000, 400_000])
@pytest.mark.parametrize("size", [(32, 32), (500, 400)])
def test_an_epoch_has_batches_and_a_training_steps(images, size):
    chosen = settings(recommend.advise(listing(images), sizes=sizes(size)))
    training = max(1, round(images * 0.8))
    assert 2 <= chosen.batch_size <= max(2, training)
    assert training // chosen.batch_size >= 8 or chosen.batch_size <= 16
    assert chosen.batch_size >= 16 or training < 16
    least, most = 20, 400
    assert least <= chosen.epochs <= most
    steps = chosen.epochs * max(1, training // chosen.batch_size)
    if least < chosen.epochs < most:
        assert steps == pytest.approx(4000, rel=0.1)
    template = recipe.load(recommend.advise(listing(images), sizes=sizes(size)).recipe, {"data.name": "own"})
    assert chosen.batch_size <= template.batch_size
    rate = template.optimizer.lr * chosen.batch_size / template.batch_size
    assert chosen.optimizer.lr == pytest.approx(rate, rel=0.01)


def test_images_that_the_data_tests_on_are_not_learnt():
    parts = np.repeat([0, 2], [100, 900])
    advised = recommend.advise(listing(1000, parts=parts), sizes=sizes((32, 32)))
    assert "about 100 training images" in " ".join(advised.reasons)
    assert settings(advised).batch_size == 16


def test_every_choice_has_a_reason_that_names_the_setting():
    advised = recommend.advise(listing(100), sizes=sizes((300, 200), (400, 300)))
    assert advised.overrides
    for override in advised.overrides:
        assert any(reason.startswith(f"{override}: ") for reason in advised.reasons)
    assert any(reason.startswith("recipe=own/large: ") for reason in advised.reasons)


def test_the_user_decides():
    own = ("epochs=3", "data.image_size=64", "batch_size=16")
    advised = recommend.advise(listing(1000), own, sizes=sizes((300, 200)))
    assert not [
        each for each in advised.overrides if each.partition("=")[0] in ("epochs", "data.image_size", "batch_size")
    ]
    chosen = settings(advised, *own)
    assert (chosen.epochs, chosen.data.image_size, chosen.batch_size) == (3, 64, 16)


def test_a_recipe_of_the_users_is_left_as_it_is_but_for_a_batch_that_is_too_large():
    template = "digits-lt/ce"
    assert recommend.advise(listing(10_000), sizes=sizes((8, 8)), template=template).overrides == ()
    few = recommend.advise(listing(20), sizes=sizes((8, 8)), template=template)
    assert [each.partition("=")[0] for each in few.overrides] == ["batch_size", "optimizer.lr"]


@pytest.mark.parametrize("gpu", [True, False])
def test_a_smaller_network_without_a_gpu(monkeypatch, gpu):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    chosen = settings(recommend.advise(listing(3000), sizes=sizes((300, 200))))
    assert network(chosen).name == ("resnet50" if gpu else "resnet18")
    own = ["network.name=resnet34"]
    chosen = settings(recommend.advise(listing(3000), own, sizes=sizes((300, 200))), *own)
    assert network(chosen).name == "resnet34"


@pytest.mark.parametrize("there", [True, False])
def test_pretrained_weights_are_taken_where_they_can_be_had(monkeypatch, there):
    monkeypatch.setattr(recommend, "_at_hand", lambda _: there)
    advised = recommend.advise(listing(3000), sizes=sizes((300, 200)))
    chosen = settings(advised)
    assert network(chosen).pretrained is there
    assert chosen.epochs < 100 if there else chosen.epochs > 100
    assert ("network.weights=FILE" in " ".join(advised.reasons)) is not there


def test_weights_in_a_file_are_not_looked_for_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(recommend, "_at_hand", lambda _: pytest.fail("asked"))
    own = [f"network.weights={tmp_path / 'weights.pt'}"]
    advised = recommend.advise(listing(3000), own, sizes=sizes((300, 200)))
    assert network(settings(advised, *own)).weights == str(tmp_path / "weights.pt")


def test_without_a_network_no_weights_are_at_hand(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda *_, **__: 1 / 0)
    assert not recommend._at_hand("resnet18")
    assert not recommend._at_hand("resnet32ts_no_such_model")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(tmp_path))
    assert recommend._at_hand("resnet18")


# --- with real files --------------------------------------------------------------------------------------------------


def test_prepare_makes_settings_of_a_path(tmp_path, monkeypatch):
    written = messy_data.write_folder(tmp_path / "birds: 1.5")
    monkeypatch.chdir(tmp_path)
    prepared = recommend.prepare(Path("birds: 1.5"), ["epochs=2", "data.test_share=0.3"])
    chosen = prepared.settings
    assert chosen.name == "birds: 1.5"
    assert chosen.data.name == "own"
    assert chosen.data.path == str(written.root)
    assert chosen.data.test_share == 0.3
    assert chosen.epochs == 2
    assert prepared.reasons[0].startswith("recipe=own/small: ")


def test_settings_of_the_data_are_heeded_when_it_is_read(tmp_path):
    written = messy_data.write_manifest(tmp_path / "traps")
    moved = tmp_path / "elsewhere.csv"
    written.root.rename(moved)
    prepared = recommend.prepare(moved, [f"data.root={tmp_path / 'traps'}", "data.form=table"])
    assert prepared.settings.data.root == str(tmp_path / "traps")
    assert prepared.settings.name == "elsewhere"
    with pytest.raises(ValueError, match=r"read as|coco"):
        recommend.prepare(tmp_path / "traps", ["data.form=coco"])


def test_data_without_a_readable_image_is_refused(tmp_path):
    for name in ("wren", "crow"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").touch()
    with pytest.raises(ValueError, match="longtail audit says why"):
        recommend.prepare(tmp_path)


def test_sizes_are_those_of_upright_images(tmp_path):
    (tmp_path / "wren").mkdir()
    (tmp_path / "crow").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("wren", "crow"):
        Image.new("RGB", (40, 64)).save(tmp_path / name / "0.jpg", exif=exif)
    found = recommend.sizes(sources.read(tmp_path))
    assert found is not None and found.usual == (64, 40)


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_name_is_a_recipe_or_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    messy_data.write_folder(tmp_path / "birds")
    (tmp_path / "mine.yaml").write_text(recipe.text_of("digits-lt/ce"))
    assert recommend.choose("digits-lt/ce") == recommend.Chosen(recipe.load("digits-lt/ce"))
    assert recommend.choose("mine.yaml", ["epochs=3"]).settings.epochs == 3
    for name in ("birds", "./birds", str(tmp_path / "birds")):
        chosen = recommend.choose(name, ["epochs=3"])
        assert (chosen.settings.name, chosen.settings.epochs) == ("birds", 3)
        assert chosen.reasons


def test_a_name_of_both_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    messy_data.write_folder(tmp_path / "digits-lt/ce")
    with pytest.raises(ValueError, match=r"is a shipped recipe, and a folder here; for the folder say \./digits-lt/ce"):
        recommend.choose("digits-lt/ce")
    assert recommend.choose("./digits-lt/ce").settings.data.name == "own"


def test_a_template_is_for_data_only():
    with pytest.raises(ValueError, match=r"--recipe is own/small, but digits-lt/ce is no data"):
        recommend.choose("digits-lt/ce", template="own/small")


# --- where images are kept --------------------------------------------------------------------------------------------


def test_many_small_images_are_not_kept_in_memory():
    few, many = (
        settings(recommend.advise(listing(images), sizes=sizes((64, 64)))).data for images in (100_000, 1_000_000)
    )
    assert (few.in_memory, few.workers) == (True, 0)
    assert (many.in_memory, many.workers) == (False, worker_pool.cores())
    own = ["data.in_memory=true"]
    assert settings(recommend.advise(listing(1_000_000), own, sizes=sizes((64, 64))), *own).data.in_memory


@pytest.mark.parametrize(("room", "packed"), [(3.1e9, None), (2.9e9, False)])
def test_images_are_not_decoded_into_a_file_that_would_fill_half_of_the_disk(monkeypatch, room, packed):
    """10,000 images of 256 x 200 pixels take 1.5 GB; at 128 pixels they are kept at 187 x 146."""
    monkeypatch.setattr(recommend, "_free", lambda _: room)
    as_they_are = recommend.advise(listing(10_000), sizes=sizes((256, 200)), template="own/small")
    own = ["data.image_size=null"]
    assert settings(as_they_are).data.packed is None, "they are shrunk"
    advised = recommend.advise(listing(10_000), own, sizes=sizes((256, 200)), template="own/small")
    assert settings(advised, *own).data.packed is packed


def test_free_room_of_a_folder_that_is_not_made_yet(tmp_path):
    assert recommend._free(tmp_path / "a" / "b") == recommend._free(tmp_path) > 0
