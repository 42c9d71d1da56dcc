"""The loop: what it leaves behind, that it resumes exactly, and how it stops."""

import io
import json
import shutil
import signal
from contextlib import redirect_stderr
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet
import pytest
import torch
from torch import nn

from longtail import methods, networks, recipe
from longtail.data import class_counts
from longtail.data.infobatch import InfoBatch
from longtail.inference import evaluate
from longtail.losses import contrastive
from longtail.optim.schedules import Clock
from longtail.recipe import build
from longtail.report import model_card
from longtail.runs import datamodule
from longtail.runs.folder import RunDir
from longtail.runtime import hardware
from longtail.training import loop, train
from longtail.training import state as train_state
from support import interrupted_trainings, small_trainings


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """An uninterrupted run."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    train.train(small_trainings.settings("hybrid-psc"), path, device="cpu")
    return path


class Short(NamedTuple):
    """A run of one epoch, with all that is watched in it."""

    path: Path
    messages: str
    weights: list[torch.Tensor]  # of the head, after each step


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Short:
    path, err = tmp_path_factory.mktemp("runs") / "short", io.StringIO()
    weights, train_step = list[torch.Tensor](), train_state.TrainState.train_step

    def watched(state, *arguments, **keywords):
        terms = train_step(state, *arguments, **keywords)
        weights.append(state.method.classifier.head.weight.detach().clone())
        return terms

    with pytest.MonkeyPatch.context() as patch, redirect_stderr(err):
        patch.setattr(train_state.TrainState, "train_step", watched)
        train.train(small_trainings.settings("ce", "epochs=1", "tensorboard=true"), path, device="cpu")
    return Short(path, err.getvalue(), weights)


# What a run leaves behind.


def test_a_run_folder_holds_all_that_was_promised(finished):
    names = {file.name for file in finished.iterdir()}
    assert names == {
        ".lock",
        "recipe.yaml",
        "environment.json",
        "split.json",
        "metrics.jsonl",
        "last.ckpt",
        "model.safetensors",
        "model.json",
        "predictions.parquet",
        "summary.json",
        "gallery.parquet",
    }
    torch.load(finished / "last.ckpt", weights_only=True)
    split, model = small_trainings.json_of(finished / "split.json"), small_trainings.json_of(finished / "model.json")
    assert split["counts"] == model["train_counts"] == class_counts.exponential(124, 10, 100).tolist()
    assert sum(split["counts"]) == len(split["train"]) == len(set(split["train"]))
    assert model["class_names"] == [str(digit) for digit in range(10)]
    environment = small_trainings.json_of(finished / "environment.json")
    assert (environment["device"], environment["precision"], environment["resumed"]) == ("cpu", "fp32", [])
    assert environment["vectors"].startswith(torch.backends.cpu.get_cpu_capability())


def test_the_log_tells_rate_alpha_and_terms(finished):
    steps = [record for record in small_trainings.log(finished) if "loss" in record]
    assert [record["step"] for record in steps] == list(range(1, small_trainings.STEPS + 1))
    recipe = small_trainings.settings("hybrid-psc")
    for record in steps:
        clock = Clock.at(step=record["step"] - 1, epochs=10, steps_per_epoch=4)
        alpha = 1 - (clock.epoch / 10) ** 2
        assert record["alpha"] == pytest.approx(alpha)
        assert record["lr"] == pytest.approx(build.learning_rate(recipe, clock))
        assert record["loss"] == pytest.approx(alpha * record["contrast"] + (1 - alpha) * record["cross_entropy"])
    measured = [record["epoch"] for record in small_trainings.log(finished) if "top1" in record]
    assert measured == [4, 9]


def test_predictions_and_summary_are_of_the_averaged_weights(finished):
    table = pyarrow.parquet.read_table(finished / "predictions.parquet").to_pydict()
    logits = np.array(table["logits"])
    assert table["predicted"] == logits.argmax(1).tolist()
    summary = small_trainings.json_of(finished / "summary.json")
    assert summary["top1"] == pytest.approx(np.mean(np.array(table["label"]) == logits.argmax(1)))
    state = torch.load(finished / "last.ckpt", weights_only=True)
    weights = RunDir.open(finished).read_weights()
    name = "head.weight"
    assert torch.equal(weights[name], state["average"][f"module.classifier.{name}"])
    assert not torch.equal(weights[name], state["method"][f"classifier.{name}"])


def test_evaluating_again_gives_the_same_and_another_split_its_own_file(finished):
    run, before = RunDir.open(finished), (finished / "summary.json").read_bytes()
    again = evaluate.evaluate(run, device=torch.device("cpu"))
    assert (finished / "summary.json").read_bytes() == before
    on_train = evaluate.evaluate(run, split="train", device=torch.device("cpu"))
    assert on_train.images == 304 != again.images
    assert run.read_summary(split="train") == on_train
    with pytest.raises(ValueError, match="held no validation images out; allowed splits: test, train"):
        evaluate.evaluate(run, split="validation", device=torch.device("cpu"))
    for name in ("summary-train.json", "predictions-train.parquet"):
        (finished / name).unlink()


def test_another_seed_gives_another_run(finished, tmp_path):
    train.train(small_trainings.settings("hybrid-psc", "seed=1", "epochs=1"), tmp_path / "other", device="cpu")
    assert small_trainings.log(tmp_path / "other")[0]["loss"] != small_trainings.log(finished)[0]["loss"]


def test_validation_is_held_out_and_evaluated(tmp_path):
    recipe = small_trainings.settings("ce", "split=validation", "data.validation=7", "epochs=1")
    summary = train.train(recipe, tmp_path / "run", device="cpu")
    split = small_trainings.json_of(tmp_path / "run" / "split.json")
    assert summary.images == 70 == len(split["validation"])
    assert not set(split["train"]) & set(split["validation"])
    assert split["counts"][0] == 128 - 7, "the most frequent class gives up what validation needs"


# Interruptions.


def test_kill_and_resume_equals_no_interruption(finished, tmp_path):
    path, workers = tmp_path / "run", ("data.in_memory=false", "data.workers=2")
    script = interrupted_trainings.crash(tmp_path, step=17, seconds=0.0)
    killed = small_trainings.train_in_command("hybrid-psc", path, *workers, script=script)
    small_trainings.finish(killed, code=-signal.SIGKILL)
    assert [record["step"] for record in small_trainings.log(path)] == list(range(1, 18))
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 18, "loss": 1.')  # a line cut off in the middle
    train.resume(path, device="cpu")
    # Workers change nothing but the speed: this run equals the one without.
    small_trainings.assert_same(finished, path)
    assert len(small_trainings.json_of(path / "environment.json")["resumed"]) == 1


@pytest.mark.parametrize(("step", "seconds"), [(17, 0.0), (3, 1e9)], ids=["saved", "before anything was saved"])
def test_an_error_in_the_middle_is_resumed_too(finished, tmp_path, step, seconds):
    path = tmp_path / "run"
    interrupted_trainings.stop(small_trainings.settings("hybrid-psc"), path, step=step, seconds=seconds)
    assert [record["step"] for record in small_trainings.log(path)] == list(range(1, step + 1))
    assert (path / "last.ckpt").exists() == (seconds == 0)
    train.resume(path, device="cpu")
    small_trainings.assert_same(finished, path)


def test_muon_stages_and_pruning_resume_exactly_too(tmp_path):
    stages = ("augment.stages=[[0.5, 8]]", "augment.stage_scale=1.5")
    overrides = ("optimizer.kind=muon", "optimizer.lr=0.05", "pruning.share=0.5", *stages)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    train.train(small_trainings.settings("ce", *overrides), whole, device="cpu")
    interrupted_trainings.stop(small_trainings.settings("ce", *overrides), parted, step=17)
    train.resume(parted, device="cpu")
    small_trainings.assert_same(whole, parted)


def test_images_are_small_in_the_first_stages_and_cut_out_of_larger_ones_if_the_recipe_says_so(tmp_path, monkeypatch):
    seen, losses, forward = list[tuple[int, tuple[int, ...]]](), list[float](), methods.CrossEntropy.forward

    def watched(method, batches, clock):
        seen.append((clock.step, tuple(batches[0].images.shape[-2:])))
        return forward(method, batches, clock)

    monkeypatch.setattr(methods.CrossEntropy, "forward", watched)
    for scale in ("1.0", "1.5"):
        seen.clear()
        stages = ("augment.stages=[[0.25, 8], [0.5, 12]]", f"augment.stage_scale={scale}")
        train.train(small_trainings.settings("ce", *stages, "epochs=2"), tmp_path / scale, device="cpu")
        assert seen == [(step, (size, size)) for step, size in enumerate([8, 8, 12, 12, 16, 16, 16, 16])]
        losses.append(next(record["loss"] for record in small_trainings.log(tmp_path / scale) if "loss" in record))
    assert losses[0] != losses[1]  # of the same weights and images


def test_with_pruning_what_was_hard_is_shown_more_often_until_the_end_is_near(tmp_path, monkeypatch):
    seen, observe = [], InfoBatch.observe

    def watched(sampler, rows, losses):
        seen.append((sampler.epoch, rows, sampler.easy.copy()))
        observe(sampler, rows, losses)

    monkeypatch.setattr(InfoBatch, "observe", watched)
    train.train(
        small_trainings.settings("ce", "pruning.share=0.5", "pruning.until=0.75"), tmp_path / "run", device="cpu"
    )
    epochs = small_trainings.settings("ce").epochs
    assert {epoch for epoch, _, easy in seen if easy.any()} == set(range(1, -(-epochs * 3 // 4)))
    easy = [easy[rows].mean() / easy.mean() for _, rows, easy in seen if easy.any()]
    assert 0.5 < np.mean(easy) < 0.95


def test_a_network_that_cannot_take_small_images_is_named(tmp_path):
    small = ["network.kind=timm", "network.name=vgg11", "data.image_size=32", "augment.stages=[[0.5, 8]]"]
    with pytest.raises(ValueError, match=r"network vgg11 cannot take images of 8 x 8 pixels .*augment\.stages"):
        train.train(recipe.load("digits-lt/ce", recipe.parse_overrides(small)), tmp_path / "run", device="cpu")


def test_a_signal_saves_and_exits_130(finished, tmp_path):
    path, script = tmp_path / "run", tmp_path / "slow.py"
    script.write_text(interrupted_trainings.SLOW)
    process = small_trainings.train_in_command("hybrid-psc", path, script=script)
    interrupted_trainings.wait_for_log(process, path)
    process.send_signal(signal.SIGTERM)
    out, err = small_trainings.finish(process, code=130)
    assert out == ""
    assert f"interrupted; continue with: longtail resume {path}" in err
    assert "Traceback" not in err
    train.resume(path)
    small_trainings.assert_same(finished, path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_step_at_hand_is_finished_and_saved_after_a_signal(finished, tmp_path, number):
    path = tmp_path / "run"
    with interrupted_trainings.at_step(5, lambda: signal.raise_signal(number)), pytest.raises(KeyboardInterrupt):
        train.train(small_trainings.settings("hybrid-psc"), path, device="cpu")
    state = RunDir.open(path).read_checkpoint()
    assert state is not None and state["step"] == 6
    train.resume(path)
    small_trainings.assert_same(finished, path)


def test_a_run_that_ended_but_was_not_written_up_is_finished_by_resume(finished, tmp_path):
    path = shutil.copytree(finished, tmp_path / "run")
    for name in ("summary.json", "model.safetensors", "predictions.parquet"):
        (path / name).unlink()
    train.resume(path)
    small_trainings.assert_same(finished, path)


def test_resume_refuses_other_data_and_damaged_files(short, tmp_path):
    path = shutil.copytree(short.path, tmp_path / "run")
    split = (path / "split.json").read_text()
    (path / "split.json").write_text(split.replace('"fingerprint": "', '"fingerprint": "x'))
    with pytest.raises(ValueError, match="the data is not what it was"):
        train.resume(path)
    (path / "split.json").write_text(split)
    (path / "last.ckpt").write_bytes((path / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
        train.resume(path)


def test_an_edited_recipe_is_noticed(short, tmp_path):
    path = shutil.copytree(short.path, tmp_path / "run")
    text = (path / "recipe.yaml").read_text()
    (path / "recipe.yaml").write_text(text.replace("width: 4", "width: 8"))
    with pytest.raises(ValueError, match=r"recipe\.yaml was changed since"):
        train.resume(path)
    model = (path / "model.json").read_text()
    (path / "model.json").write_text(model.replace('"width": 4', '"width": 8'))
    with pytest.raises(ValueError, match=r"model\.safetensors does not fit the network"):
        evaluate.evaluate(RunDir.open(path), device=torch.device("cpu"))


def test_a_network_that_cannot_take_the_images_is_named(tmp_path):
    overrides = ["network.kind=timm", "network.name=vit_tiny_patch16_224"]
    with pytest.raises(ValueError, match="network vit_tiny_patch16_224 cannot take images of 16 x 16 pixels"):
        train.train(recipe.load("digits-lt/ce", recipe.parse_overrides(overrides)), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_a_random_resized_crop_is_done_once_wherever_images_are_decoded(tmp_path, in_memory):
    overrides = ("augment.crop_padding=0", "augment.resized_crop=[0.2, 0.5]", "data.image_size=16", "epochs=1")
    settings = small_trainings.settings("ce", *overrides, f"data.in_memory={in_memory}")
    assert (build.augmentation(settings).resized_crop is not None) == (in_memory == "true")
    train.train(settings, tmp_path / "run", device="cpu")


def test_a_run_is_never_overwritten(finished):
    before = {file.name: file.read_bytes() for file in finished.iterdir()}
    with pytest.raises(ValueError, match="already holds a run"):
        train.train(small_trainings.settings("ce"), finished, device="cpu")
    assert before == {file.name: file.read_bytes() for file in finished.iterdir()}


def test_a_loss_that_is_not_finite_stops_with_its_cause_and_keeps_the_last_state(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    recipe = small_trainings.settings("ce", "optimizer.lr=1e30", "clip=null", "schedule.kind=constant")
    with pytest.raises(ValueError, match=r"the loss is not finite at step \d+ .*optimizer\.lr") as error:
        train.train(recipe, tmp_path / "run", device="cpu")
    step = int(str(error.value).split("step ")[1].split()[0])
    state = RunDir.open(tmp_path / "run").read_checkpoint()
    assert state is not None and state["step"] == step - 1


def test_a_mistake_leaves_no_folder_behind(tmp_path):
    for mistake in ("batch_size=1000", "data.n_max=1000"):
        with pytest.raises(ValueError, match=r"1000"):
            train.train(small_trainings.settings("ce", mistake), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_what_is_about_to_happen_is_a_line(short):
    assert (
        "digits-lt/ce: 304 images of 10 classes, 124 to 1 a class; resnet9, 0.03 M parameters; 1 epoch of 4 steps"
        in short.messages
    )


# Options of the loop.


class _WithoutStatistics(networks.Backbone):
    """No batch normalisation, so that parts of a batch do not depend on each other."""

    dim = 8

    def __init__(self, _width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 16 * 16, self.dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(images.flatten(1)))


def test_accumulated_micro_batches_give_the_same_step(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "ResNet9", _WithoutStatistics)
    for parts in (1, 4):
        recipe = small_trainings.settings("ce", f"accumulate={parts}", "precision=fp64", "epochs=2")
        train.train(recipe, tmp_path / str(parts), device="cpu")
    one, four = ([r["loss"] for r in small_trainings.log(tmp_path / part) if "loss" in r] for part in ("1", "4"))
    assert one == pytest.approx(four, abs=1e-6)
    assert one[0] != one[-1]


def test_clipping_bounds_the_step(tmp_path, monkeypatch):
    weights = []
    learn = train_state.TrainState.train_step

    def spy(self, *arguments, **keywords):
        before = [p.detach().clone() for p in self.method.parameters()]
        terms = learn(self, *arguments, **keywords)
        changes = [a - b for a, b in zip(self.method.parameters(), before, strict=True)]
        weights.append((torch.cat([c.flatten() for c in changes]).norm() / keywords["rate"]).item())
        return terms

    monkeypatch.setattr(train_state.TrainState, "train_step", spy)
    plain = ("epochs=1", "optimizer.momentum=0", "optimizer.weight_decay=0", "ema=null")
    train.train(small_trainings.settings("ce", *plain, "clip=0.01"), tmp_path / "clipped", device="cpu")
    assert weights == pytest.approx([0.01] * 4, rel=1e-3)
    weights.clear()
    train.train(small_trainings.settings("ce", *plain, "clip=null"), tmp_path / "free", device="cpu")
    assert min(weights) > 0.1


def test_the_average_is_the_formula(short):
    expected = short.weights[0]
    for weight in short.weights[1:]:
        expected = 0.9 * expected + 0.1 * weight
    torch.testing.assert_close(RunDir.open(short.path).read_weights()["head.weight"], expected)


def test_mixed_precision_runs_and_its_losses_are_float32(tmp_path, monkeypatch):
    kinds = set()
    normalize = contrastive.F.normalize
    monkeypatch.setattr(contrastive.F, "normalize", lambda x, dim: kinds.add(x.dtype) or normalize(x, dim=dim))
    matmul = set()
    whole = contrastive.supervised_contrastive

    def spy(embeddings, labels, *, temperature):
        matmul.add((embeddings @ embeddings.T).dtype if embeddings.dtype == torch.float32 else torch.float32)
        return whole(embeddings, labels, temperature=temperature)

    monkeypatch.setattr("longtail.methods.hybrid.supervised_contrastive", spy)
    train.train(small_trainings.settings("hybrid-sc", "precision=bf16", "epochs=1"), tmp_path / "run", device="cpu")
    assert kinds == {torch.float32}
    assert matmul == {torch.float32}, "autocast would have made a matrix product of float32 a half-precision one"
    assert all(np.isfinite(record["loss"]) for record in small_trainings.log(tmp_path / "run") if "loss" in record)
    measured = (tmp_path / "run" / "summary.json").read_bytes()
    evaluate.evaluate(RunDir.open(tmp_path / "run"), device=torch.device("cpu"))
    assert (tmp_path / "run" / "summary.json").read_bytes() == measured


def test_a_run_keeps_the_precision_that_auto_was(tmp_path, monkeypatch):
    """Also where it is resumed on a machine that would have taken another."""
    path, runtime, asked = tmp_path / "run", hardware.runtime, []
    monkeypatch.setattr(hardware, "_has_bf16", lambda _: True)
    train.train(small_trainings.settings("ce", "precision=auto", "epochs=1"), path, device="cpu")
    (path / "summary.json").unlink()
    monkeypatch.setattr(hardware, "_has_bf16", lambda _: False)
    monkeypatch.setattr(hardware, "runtime", lambda **how: asked.append(how["precision"]) or runtime(**how))
    train.resume(path)
    assert asked == ["bf16"]
    assert "bf16" in model_card.render(RunDir.open(path))
    environment = small_trainings.json_of(path / "environment.json")
    del environment["precision"]  # a run of an older version
    (path / "environment.json").write_text(json.dumps(environment))
    train.resume(path)
    assert asked == ["bf16", "auto"]


def test_a_part_of_a_step_costs_the_same_for_images_of_all_sizes():
    recipe = small_trainings.settings("ce", "augment.stages=[[0.5, 8]]")  # of 16 pixels
    cost = loop.step_cost(recipe, datamodule.load(recipe))
    assert cost is not None
    costs = [cost(Clock.at(step=step, epochs=10, steps_per_epoch=4)) for step in (0, 39)]
    assert costs == pytest.approx([0.15 + 0.85 / 4, 1.0])


def test_tensorboard_gets_the_numbers(short):
    files = list((short.path / "tensorboard").iterdir())
    assert len(files) == 1
    assert b"cross_entropy" in files[0].read_bytes()
