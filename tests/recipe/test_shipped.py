"""Every recipe that comes with the package."""

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from longtail import recipe
from longtail.data import sources
from longtail.optim import schedules
from longtail.optim.schedules import Clock
from longtail.recipe import build
from longtail.runs import datamodule
from longtail.runs.folder import RunDir
from longtail.training import train
from support import fake_datasets

SHIPPED = recipe.shipped()
CIFAR = [name for name in SHIPPED if name.startswith("cifar")]
QUICK = [name for name in SHIPPED if name.endswith(("/fast", "/best-hour"))]  # ours, whatever reaches most in a time
HYBRID = [name for name in SHIPPED if not name.endswith(("/ce", "/logit-adjustment", "/fast", "/best-hour"))]

PAPER = "Wang et al. 2021, arXiv:2103.14267"
PUBLISHED: dict[str, dict[str, float | None]] = {  # in %, of ResNet-32 on CIFAR and ResNet-50 on iNaturalist
    "cifar100-lt-100": {"hybrid-sc": 46.72, "hybrid-psc": 44.97, "ce": 38.32, "logit-adjustment": 44.02},
    "cifar100-lt-50": {"hybrid-sc": 51.87, "hybrid-psc": 48.93, "ce": 43.85, "logit-adjustment": 47.03},
    "cifar100-lt-10": {"hybrid-sc": 63.05, "hybrid-psc": 62.37, "ce": 55.71, "logit-adjustment": 57.74},
    "cifar10-lt-100": {"hybrid-sc": 81.40, "hybrid-psc": 78.82, "ce": 70.36, "logit-adjustment": 78.57},
    "cifar10-lt-50": {"hybrid-sc": 85.36, "hybrid-psc": 83.86, "ce": 74.81, "logit-adjustment": 81.11},
    "cifar10-lt-10": {"hybrid-sc": 91.12, "hybrid-psc": 90.06, "ce": 86.44, "logit-adjustment": None},
    "inaturalist2018": {"hybrid-sc": 66.74, "hybrid-psc": 68.10},
    "digits-lt": {"hybrid-sc": None, "hybrid-psc": None, "ce": None, "logit-adjustment": None},
    "own": {"small": None, "large": None},
}
for _data in PUBLISHED:
    if _data.startswith("cifar"):
        PUBLISHED[_data] |= {"fast": None, "best-hour": None}
TOTALS = {  # training images
    "cifar100-lt-100": 10_847,
    "cifar100-lt-50": 12_608,
    "cifar100-lt-10": 19_573,
    "cifar10-lt-100": 12_406,
    "cifar10-lt-50": 13_996,
    "cifar10-lt-10": 20_431,
    "digits-lt": 304,
}


def split(name: str) -> tuple[str, str]:
    data, _, method = name.partition("/")
    return data, method


def without(settings: recipe.Recipe, *dotted: str) -> dict[str, Any]:
    """All settings but some."""
    tree = settings.model_dump()
    for name in dotted:
        *blocks, last = name.split(".")
        branch = tree
        for block in blocks:
            branch = branch[block]
        branch.pop(last)
    return tree


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins with a few images of each class."""
    folder = tmp_path_factory.mktemp("data")
    fake_datasets.write_cifar_parquet(folder, "cifar10", per_class_train=20, per_class_test=1)
    fake_datasets.write_cifar_parquet(folder, "cifar100", per_class_train=2, per_class_test=1)
    fake_datasets.write_inaturalist(folder, classes=5, per_class=[3, 3, 2, 2, 2], per_class_test=1)
    fake_datasets.write_folder(folder / "own", [9, 6, 3, 2, 1], sizes=(30, 90))
    return folder


@pytest.fixture
def full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels as many as the real CIFAR has, without their images."""
    load = sources.load

    def labels_only(name: Any, split: Any, **options: Any) -> sources.Source:
        if name == "digits":
            return load(name, split, **options)
        classes = {"cifar10": 10, "cifar100": 100}[name]
        labels = np.random.default_rng(0).permutation(np.repeat(np.arange(classes), 50_000 // classes))
        return sources.Source(labels, tuple(map(str, range(classes))), _no_image, [""] * len(labels))

    monkeypatch.setattr(sources, "load", labels_only)


def _no_image(_: int) -> np.ndarray:
    raise AssertionError


# --- what is shipped --------------------------------------------------------------------------------------------------


def test_all_rows_are_shipped() -> None:
    assert {*SHIPPED} == {f"{data}/{method}" for data, row in PUBLISHED.items() for method in row}


@pytest.mark.parametrize("name", SHIPPED)
def test_recipe_loads_and_survives_writing(name: str, tmp_path: Path) -> None:
    one = recipe.load(name)
    assert one.name == name
    assert one == recipe.load(name)
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.dump(one))
    assert recipe.load(str(file)) == one


@pytest.mark.parametrize("name", SHIPPED)
def test_head_of_the_file_tells_command_and_figures(name: str) -> None:
    one, comments = recipe.load(name), _comments(name)
    data, method = split(name)
    assert re.match(
        r"# (Hybrid-SC|Hybrid-PSC|Plain cross-entropy|Logit adjustment|Fifteen minutes|An hour) on ", comments[0]
    )
    assert comments[1].startswith(f"# Command:   longtail train {name}")
    assert ("--data-root" in comments[1]) == (data not in ("digits-lt", "own"))
    figure = PUBLISHED[data][method]
    if figure is None:
        assert one.published is None
        assert comments[2].startswith("# Published: nothing")
    else:
        assert one.published is not None
        assert one.published.top1 == pytest.approx(figure / 100, abs=1e-9)
        assert comments[2] == f"# Published: {figure:.2f} % top-1 ({one.published.source})."
        assert (one.published.source == PAPER) == (name in HYBRID)
    assert comments[3].startswith("# Ours: ")


@pytest.mark.parametrize("name", SHIPPED)
def test_head_of_the_file_tells_size_and_imbalance(name: str) -> None:
    one, comments = recipe.load(name), _comments(name)
    data, _ = split(name)
    if data == "own":
        assert one.data.profile_used == "natural"
        return
    if data == "inaturalist2018":
        assert "437,513 training images of 8,142 species" in comments[0]
        assert one.data.profile == "natural"
        return
    assert one.data.profile == "exponential"
    if data == "digits-lt":
        assert one.data.imbalance == 100
        assert "124 to 1 images" in comments[0]
        return
    network = {"resnet32": "ResNet-32", "resnet9": "ResNet-9", "airbench": "airbench network"}[one.network.kind]
    assert f"{TOTALS[data]:,} training images, {network}." in comments[0]
    assert f"imbalance {one.data.imbalance:g}:" in comments[0]
    assert data == f"{one.data.name}-lt-{one.data.imbalance:g}"


def _comments(name: str) -> list[str]:
    lines = recipe.text_of(name).splitlines()
    assert all(len(line) <= 120 for line in lines)
    return [line for line in lines if line.startswith("#")]


# --- what they say, against the notes on the paper --------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CIFAR if name not in QUICK])
def test_cifar_recipes_follow_the_paper(name: str) -> None:
    one = recipe.load(name)
    assert (one.epochs, one.network, one.head) == (200, recipe.ResNet32(), recipe.LinearHead())
    assert (one.augment.crop_padding, one.augment.flip) == (4, 0.5)
    assert (one.augment.mean, one.augment.std) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    assert (one.augment.jitter, one.augment.resized_crop, one.augment.cutout) == (None, None, 0)
    assert isinstance(one.optimizer, recipe.SGD)
    assert (one.optimizer.momentum, one.optimizer.nesterov) == (0.9, False)
    assert (one.split, one.ema, one.clip, one.precision, one.accumulate) == (None, None, None, "fp32", 1)
    assert (one.groups.many, one.groups.few) == (100, 20)


@pytest.mark.parametrize("name", [name for name in CIFAR if name in HYBRID])
def test_hybrid_recipes_follow_the_paper(name: str) -> None:
    one = recipe.load(name)
    method = cast(recipe.HybridSC | recipe.HybridPSC, one.method)
    assert one.batch_size == 512
    assert one.augment.grayscale == 0.2
    assert method.kind == split(name)[1]
    # 0.1, but 1 for prototypes on CIFAR-10.
    assert method.temperature == (1.0 if one.data.name == "cifar10" and method.kind == "hybrid-psc" else 0.1)
    assert method.alpha == recipe.Parabolic()
    assert method.projection == recipe.Projection(hidden=64, dim=128)
    assert (one.optimizer.lr, one.optimizer.weight_decay) == (0.5, 1e-4)
    assert _rates(one) == pytest.approx({4: 0.5, 5: 0.5, 119: 0.5, 120: 0.05, 159: 0.05, 160: 0.005, 199: 0.005})


@pytest.mark.parametrize("name", [name for name in CIFAR if name not in (*HYBRID, *QUICK)])
def test_baselines_follow_their_code(name: str) -> None:
    one = recipe.load(name)
    method = {"ce": recipe.CrossEntropy(), "logit-adjustment": recipe.LogitAdjustment(tau=1)}[split(name)[1]]
    assert (one.batch_size, one.augment.grayscale, one.method) == (128, 0.0, method)
    assert (one.optimizer.lr, one.optimizer.weight_decay) == (0.1, 2e-4)
    assert _rates(one) == pytest.approx({4: 0.1, 5: 0.1, 119: 0.1, 120: 0.1, 159: 0.1, 160: 1e-3, 180: 1e-5, 199: 1e-5})


def _rates(one: recipe.Recipe) -> dict[int, float]:
    """Learning rates in the last steps of epochs, counted from 0; the fifth is the last of the warm-up."""
    steps = 20
    epochs = [4, 5, 119, 120, 159, 160, *([180] if one.batch_size == 128 else []), 199]
    return {
        epoch: build.learning_rate(
            one, Clock.at(step=epoch * steps + steps - 1, epochs=one.epochs, steps_per_epoch=steps)
        )
        for epoch in epochs
    }


@pytest.mark.parametrize("name", [name for name in HYBRID if name in CIFAR])
def test_warmup_rises_over_five_epochs(name: str) -> None:
    one, steps = recipe.load(name), 20
    rates = [
        build.learning_rate(one, Clock.at(step=step, epochs=one.epochs, steps_per_epoch=steps))
        for step in range(5 * steps)
    ]
    assert rates == sorted(rates)
    assert 0 < rates[0] < 0.01
    assert rates[-1] == pytest.approx(0.5)


@pytest.mark.parametrize("name", HYBRID)
def test_features_come_first(name: str) -> None:
    method = cast(recipe.HybridSC | recipe.HybridPSC, recipe.load(name).method)
    alpha = build.alpha(method.alpha)
    assert alpha is schedules.parabolic
    assert alpha(Clock.at(step=0, epochs=200, steps_per_epoch=20)) == 1
    assert alpha(Clock.at(step=160 * 20, epochs=200, steps_per_epoch=20)) == pytest.approx(0.36)


@pytest.mark.parametrize("name", QUICK)
def test_quick_recipes_are_mirrored_and_say_so(name: str) -> None:
    network = recipe.load(name).network
    assert isinstance(network, recipe.Airbench) and network.mirrored
    assert "network that is mirrored" in " ".join(recipe.text_of(name).replace("\n#", "").split())


@pytest.mark.parametrize("name", QUICK)
def test_quick_recipes_end_at_full_size_and_rate_0(name: str) -> None:
    one = recipe.load(name)
    sizes = {
        step: build.image_size(one, Clock.at(step=step, epochs=one.epochs, steps_per_epoch=1))
        for step in (0, one.epochs // 2, one.epochs - 1)
    }
    assert [*sizes.values()] == [16, 24, None]
    last = Clock.at(step=999, epochs=1, steps_per_epoch=1000)
    assert build.learning_rate(one, last) < 0.002 * one.optimizer.lr


def test_demo_compares_methods_that_share_all_else() -> None:
    rows = [recipe.load(f"digits-lt/{method}") for method in ("ce", "logit-adjustment", "hybrid-sc", "hybrid-psc")]
    assert len({str(without(row, "name", "method")) for row in rows}) == 1


# --- what they do -----------------------------------------------------------------------------------------------------


SIZED = {str(recipe.load(name).data): name for name in SHIPPED if split(name)[0] in TOTALS}  # of one data block, one


@pytest.mark.parametrize("name", SIZED.values())
@pytest.mark.usefixtures("full_size")
def test_training_set_has_the_known_size(name: str) -> None:
    data, _ = split(name)
    one = recipe.load(name)
    data_module = datamodule.load(one)
    assert len(data_module.train_indices) == data_module.counts.sum() == TOTALS[data]
    assert np.array_equal(np.bincount(data_module.train_labels, minlength=len(data_module.counts)), data_module.counts)
    assert len(data_module.val_indices) == 0
    n_max = {"cifar10": 5000, "cifar100": 500, "digits": 124}[one.data.name]
    assert data_module.counts.max() == data_module.counts[0] == n_max
    assert data_module.counts.min() == data_module.counts[-1] == int(n_max / one.data.imbalance)
    assert (np.diff(data_module.counts) <= 0).all()


@pytest.mark.usefixtures("full_size")
def test_training_sets_are_nested() -> None:
    for data in ("cifar10", "cifar100"):
        few, more, most = (
            {*datamodule.load(recipe.load(f"{data}-lt-{imbalance}/ce")).train_indices.tolist()}
            for imbalance in (100, 50, 10)
        )
        assert few < more < most


# How a recipe is made small enough for a test, all else as shipped: fewer images of frequent classes, one of rare ones.
SMALL: dict[str, dict[str, object]] = {
    "cifar10": {"data.n_max": 20, "data.imbalance": 20},
    "cifar100": {"data.n_max": 2, "data.imbalance": 2},
    "digits": {"data.n_max": 20, "data.imbalance": 20},
    # ResNet-50 on 224 pixels takes a minute; another network of the same library takes its place.
    "inaturalist2018": {"data.image_size": 64, "data.workers": 0, "network.name": "resnet10t"},
}


def small(name: str) -> dict[str, object]:
    """How a recipe is made small enough for a test."""
    cut = SMALL["inaturalist2018"] if name == "own/large" else SMALL.get(recipe.load(name).data.name, {})
    return {**cut, "epochs": 1, "evaluate_every": 1, "log_every": 1, "tensorboard": False}


def distinct() -> list[str]:
    """Recipes that still differ when they are small: rows of one data set differ in imbalance and epochs only."""
    return [*{str(without(recipe.load(name, small(name)), "name", "published")): name for name in SHIPPED}.values()]


def test_small_recipes_are_one_of_each_kind() -> None:
    kinds = {(recipe.load(name).data.name, split(name)[1]) for name in SHIPPED}
    assert {(recipe.load(name).data.name, split(name)[1]) for name in distinct()} == kinds


@pytest.mark.parametrize("name", distinct())
def test_recipe_trains_two_steps(name: str, root: Path, tmp_path: Path) -> None:
    cut = small(name) | ({"data.path": str(root / "own")} if name.startswith("own/") else {})
    where = None if name.startswith("own/") else root
    images = len(datamodule.load(recipe.load(name, cut), data_root=where).train_indices)
    one = recipe.load(name, cut | {"batch_size": images // 2})
    summary = train.train(one, tmp_path, data=where, device="cpu")
    run = RunDir.open(tmp_path)
    log = list(run.read_log())
    steps = [line for line in log if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(np.isfinite(line["loss"]) for line in steps)
    assert [line["split"] for line in log if "split" in line] == ["test"]
    assert summary == run.read_summary()
    assert summary.classes == {"cifar100": 100, "inaturalist2018": 5, "own": 5}.get(one.data.name, 10)
    assert recipe.load(str(run.recipe)) == one


def test_every_method_is_shipped() -> None:
    kinds = recipe.schema()["properties"]["method"]["discriminator"]["mapping"]
    assert {recipe.load(name).method.kind for name in SHIPPED} == {*kinds}
