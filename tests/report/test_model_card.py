"""The model card: what the Hub reads, and what a person should know before trusting a run."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from longtail import metrics, recipe
from longtail.report import model_card
from longtail.runs import records
from longtail.runs.folder import RunDir
from longtail.text import DASH

ENVIRONMENT = {
    "longtail": "0.1.0",
    "commit": None,
    "started": "2026-01-02T03:04:05+00:00",
    "resumed": [],
    "device": "auto",
    "devices": 1,
    "gpu": None,
    "processor": "x86_64",
    "cores": None,
    "libraries": {"torch": "2.9"},
}


def run_of(path, name, tests, *, train, recognised, names=None, split="test", temperature=None, **record):
    """A finished run, as its card sees it: test images a class, and how many of them are recognised."""
    classes = len(tests)
    labels = np.repeat(np.arange(classes), tests)
    rank = np.concatenate([np.arange(n) for n in tests])
    predicted = np.where(rank < np.array(recognised)[labels], labels, (labels + 1) % classes)
    names = names or [f"class {c}" for c in range(classes)]
    run = RunDir(path)
    run.make()
    run.write_recipe(recipe.dump(recipe.load(name)))
    summary = metrics.summarise(
        10 * np.eye(classes)[predicted],
        labels,
        train_counts=np.array(train),
        class_names=names,
        temperature=temperature,
    )
    run.write_summary(summary)
    records.SplitFile.model_validate({"split": split, "counts": train, **record}).write(run.split)
    records.write_json(run.environment, ENVIRONMENT)
    settings = recipe.load(name)
    records.ModelFile(
        network=settings.network,
        head=settings.head,
        class_names=tuple(names),
        train_counts=tuple(train),
        prior=(1 / classes,) * classes,
        temperature=temperature,
        preprocessing=records.Preprocessing(
            mean=settings.augment.mean, std=settings.augment.std, centre_crop=settings.data.image_size
        ),
    ).write(run.model)
    run.log({"step": 1, "seconds": 3723.2})
    return run, summary


def section(text, title):
    return re.split(r"^#+ ", text.split(f" {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_hub_reads_the_card_of_every_training(birds):
    run = RunDir(birds[0])
    text = model_card.render(run)
    data: Any = ModelCard(text).data
    assert (data.pipeline_tag, data.library_name) == ("image-classification", "longtail")
    assert data.license is None
    summary = run.read_summary()
    results = {each.metric_name: each for each in data.eval_results or []}
    assert results["Top-1 accuracy"].metric_value == pytest.approx(summary.top1, abs=1e-6)
    assert results["Macro F1"].metric_type == "f1"
    assert "Many-shot accuracy (mean recall)" not in results, "there is no such class"
    assert {(each.dataset_name, each.dataset_type, each.dataset_split) for each in results.values()} == {
        ("birds", "imagefolder", "test")
    }
    assert text.startswith("---\n")
    assert "# birds (own/small, seed 0)\n" in text
    assert str(run.path.parent) not in text, "where things are is nobody's business"


def test_front_matter_is_yaml_that_reads_back(tmp_path):
    run, _ = run_of(tmp_path / "run", "cifar10-lt-100/ce", [4] * 10, train=[500] * 10, recognised=[2] * 10)
    front = yaml.safe_load(model_card.render(run).split("---\n")[1])
    name, results = model_index_to_eval_results(front["model-index"])
    assert name == "cifar10-lt-100/ce (seed 0)"
    assert {each.dataset_type for each in results} == set(front["datasets"]) == {"uoft-cs/cifar10"}
    assert front["metrics"] == ["accuracy", "f1"]


def test_limits_say_what_is_not_known(tmp_path):
    tests, hits = [50, 4, 3, 0, 0, 6, 10, 10, 10, 10], [45, 3, 0, 0, 0, 3, 5, 5, 5, 5]
    train = [500, 10, 5, 4, 0, 3, 30, 30, 30, 30]
    run, summary = run_of(tmp_path / "run", "cifar10-lt-100/ce", tests, train=train, recognised=hits)
    text = model_card.render(run)
    limits = section(text, "Limits")
    assert (
        "- 2 of 10 classes have fewer than 5 test images. Their recall is not known well: 3 of 4 recognised means "
        "between 30 and 95 %.\n"
    ) in limits
    assert (
        "- 2 of 10 classes have no test image. Nothing is known of how well they are recognised: class 3, class 4.\n"
        in limits
    )
    assert "- 1 of 10 classes has no training image and cannot be recognised: class 4.\n" in limits
    assert "- Not one image was recognised of 1 class: class 2.\n" in limits
    assert "90.0 % of a many-shot class" in limits
    assert f"off by {100 * summary.ece:.1f} % on average: no validation images were held out" in limits
    assert "8 of 10 classes have such images" in text
    few = summary.intervals["few"]
    assert few
    assert (
        f"{100 * few[0]:.1f} to {100 * few[1]:.1f} | mean recall of classes with fewer than 20 training images: 5"
        in section(text, "Results")
    )
    worst = section(text, "Classes that are recognised worst")
    assert worst.splitlines()[3].startswith("| class 2 | 5 | 3 | 0.0 % | 0.0 to 56.1 |")
    assert "class 3" not in worst


def test_data_and_training_are_told(tmp_path):
    run, _ = run_of(
        tmp_path / "run",
        "cifar10-lt-100/ce",
        [2] * 10,
        train=[100, *[5] * 8, 2],
        recognised=[1] * 10,
        validation=[1, 2, 3],
        unreadable={"7": "is empty"},
        notes=["CSV manifest: 1 image in 10 classes"],
    )
    data, training = section(model_card.render(run), "Data"), section(model_card.render(run), "Training")
    assert "- CIFAR-10: 142 training images in 10 classes.\n" in data
    assert "the rarest 2: 50 to 1." in data
    assert "- Made unequal on purpose: exponential profile, imbalance 100, seed 0.\n" in data
    assert "- Held out of these images: 3 for validation (seed 0).\n" in data
    assert "- Left out, since they cannot be read: 1 image, in `quarantine.csv`.\n" in data
    assert "- CSV manifest: 1 image in 10 classes.\n" in data
    assert "| time | 1:02:04 |" in training
    assert "| machine | x86\\_64, 1 core, 1 process |" in training


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("cifar10-lt-100/ce", "| network | `resnet32` |"),
        ("cifar10-lt-100/fast", "| network | `airbench`, mirrored: it cannot tell an image from its mirror image |"),
    ],
)
def test_a_network_that_is_mirrored_is_called_so(tmp_path, name, row):
    run, _ = run_of(tmp_path / "run", name, [2] * 10, train=[9] * 10, recognised=[1] * 10)
    assert row in section(model_card.render(run), "Training")


def test_a_temperature_is_told(tmp_path):
    run, summary = run_of(
        tmp_path / "run", "cifar10-lt-100/ce", [4] * 10, train=[50] * 10, recognised=[2] * 10, temperature=2.5
    )
    text = model_card.render(run)
    assert summary.ece_calibrated is not None
    assert f"| ECE, scaled | {100 * summary.ece_calibrated:.1f} % |" in text
    assert "no validation images were held out" not in text


def test_results_of_validation_images_are_called_so(tmp_path):
    run, _ = run_of(
        tmp_path / "run", "cifar10-lt-100/ce", [4] * 10, train=[50] * 10, recognised=[2] * 10, split="validation"
    )
    text = model_card.render(run)
    assert "Measured on 40 validation images" in text
    assert "Results are those of validation images" in section(text, "Limits")


def test_names_cannot_break_the_card(tmp_path):
    names = ["a|b", "*bold*", "<script>alert(1)</script>", "two\nlines", "`code`", *"fghij"]
    run, _ = run_of(tmp_path / "run", "cifar10-lt-100/ce", [4] * 10, train=[50] * 10, recognised=[0] * 10, names=names)
    text = model_card.render(run)
    rows = section(text, "Classes that are recognised worst").strip().splitlines()[2:]
    assert len(rows) == 10
    assert all(len(re.split(r"(?<!\\)\|", row)) == 8 for row in rows)
    assert "<script" not in text.replace("\\<script", "")


def test_other_measurements_are_listed_and_old_ones_named(tmp_path):
    run, summary = run_of(tmp_path / "run", "cifar10-lt-100/ce", [4] * 10, train=[50] * 10, recognised=[2] * 10)
    run.write_summary(replace(summary, figures={**summary.figures, "top1": 0.25}), split="data-north")
    assert f"| north | 40 | 25.0 % | 50.0 % | {DASH} | 50.0 % | {DASH} |" in section(
        model_card.render(run), "Other measurements"
    )
    old = {name: value for name, value in summary.to_dict().items() if name not in ("intervals", "nll")}
    records.write_json(run.summary(), old)
    text = model_card.render(run)
    assert f"| top-1 | 50.0 % | {DASH} |" in text
    assert "| NLL |" not in text
    records.write_json(run.summary("train"), {"top1": 0.5})
    with pytest.raises(ValueError, match=r"summary-train\.json: it has no images, so it holds no results"):
        model_card.render(run)
