"""Two gloo processes with half the batch each do what one process does with the whole batch."""

import signal

import numpy as np
import pyarrow.parquet
import pytest
import torch
from torch import nn

from longtail.runs.folder import RunDir
from longtail.runtime import distributed
from longtail.training import train
from support import interrupted_trainings, small_trainings, two_processes

pytestmark = pytest.mark.slow


def test_gather_joins_rows_and_sums_their_gradients():
    (alone, pair) = two_processes.gathered(None), two_processes.together(two_processes.gathered)
    for rank, part in enumerate(pair):
        # Rank order, not the order of the rows in the whole.
        assert part["everyone"].tolist() == [[0, 1], [4, 5], [2, 3], [6, 7]]
        # Process r weighs with (r + 1) times the numbers 1 to 8: a row's gradient is three times its weight.
        assert part["gradient"].tolist() == (3 * np.arange(1.0, 9.0).reshape(4, 2)[2 * rank : 2 * rank + 2]).tolist()
    assert alone["gradient"].tolist() == np.arange(1.0, 9.0).reshape(4, 2).tolist()


def test_shared_batch_normalisation_is_that_of_the_whole_batch():
    alone, pair = two_processes.normalised(None), two_processes.together(two_processes.normalised)
    for rank, part in enumerate(pair):
        for name in ("y", "x.grad"):
            np.testing.assert_allclose(
                part[name], alone[name][rank :: two_processes.WORLD].detach(), rtol=1e-9, atol=1e-12
            )
        for name in ("running_mean", "running_var"):
            np.testing.assert_allclose(part[name], alone[name], rtol=1e-12)
    np.testing.assert_allclose(sum(part["weight.grad"] for part in pair), alone["weight.grad"], rtol=1e-9)


@pytest.mark.parametrize(
    "gradients", [two_processes.sc_gradients, two_processes.psc_gradients, two_processes.mirrored_gradients]
)
def test_the_gradient_of_a_step_is_that_of_one_process(gradients):
    alone, pair = gradients(None), two_processes.together(gradients)
    assert alone.keys() == pair[0].keys()
    for name, gradient in alone.items():
        for part in pair:
            np.testing.assert_allclose(part[name], gradient, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("hybrid-sc", ()),
        ("hybrid-psc", ()),
        ("logit-adjustment", ()),
        ("ce", ("pruning.share=0.5", "accumulate=2", "augment.stages=[[0.5, 8]]", "augment.stage_scale=1.5")),
    ],
)
def test_twenty_steps_have_the_losses_of_one_process(tmp_path, method, more):
    """In double precision: training multiplies rounding errors, so in single precision only the first steps agree."""
    overrides = ("epochs=5", "precision=fp64", "evaluate_every=5", "data.validation=1", "split=validation", *more)
    train.train(small_trainings.settings(method, *overrides), tmp_path / "one", device="cpu")
    small_trainings.finish(small_trainings.train_in_command(method, tmp_path / "two", *overrides, devices=2))
    one, two = (small_trainings.log(tmp_path / name) for name in ("one", "two"))
    losses = [record["loss"] for record in one if "loss" in record]
    assert len(losses) == 20 and len(set(losses)) == 20
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == b[name] or a[name] == pytest.approx(b[name], abs=1e-5), (a["step"], name)
    tables = [
        pyarrow.parquet.read_table(tmp_path / name / "predictions.parquet").to_pydict() for name in ("one", "two")
    ]
    assert tables[0]["id"] == tables[1]["id"]
    np.testing.assert_allclose(tables[0]["logits"], tables[1]["logits"], atol=1e-5)


def test_two_processes_train_in_half_precision(tmp_path):
    overrides = ("precision=bf16", "epochs=2", "evaluate_every=2")
    small_trainings.finish(small_trainings.train_in_command("hybrid-psc", tmp_path / "two", *overrides, devices=2))
    losses = [record["loss"] for record in small_trainings.log(tmp_path / "two") if "loss" in record]
    assert len(losses) == 8 and np.isfinite(losses).all() and losses[-1] < losses[0]


@pytest.mark.parametrize("devices", [2, 3])
def test_kill_and_resume_equals_no_interruption(tmp_path, devices):
    """Three, because a sum of three numbers depends on their order."""
    batch = f"batch_size={64 - 64 % devices}"
    small_trainings.finish(small_trainings.train_in_command("hybrid-psc", tmp_path / "whole", batch, devices=devices))
    script = interrupted_trainings.crash(tmp_path, step=17, seconds=0.0)
    killed = small_trainings.train_in_command("hybrid-psc", tmp_path / "cut", batch, script=script, devices=devices)
    small_trainings.finish(killed, code=-signal.SIGKILL)
    state = RunDir.open(tmp_path / "cut").read_checkpoint()
    assert state is not None and state["step"] == 17
    small_trainings.finish(small_trainings.command("resume", tmp_path / "cut"))
    small_trainings.assert_same(tmp_path / "whole", tmp_path / "cut")


def test_a_signal_saves_and_exits_130(tmp_path):
    process = small_trainings.train_in_command("hybrid-psc", tmp_path / "run", "epochs=1000", devices=2)
    interrupted_trainings.wait_for_log(process, tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    out, err = small_trainings.finish(process, code=130)
    assert out == "" and "Traceback" not in err
    state = RunDir.open(tmp_path / "run").read_checkpoint()
    assert state is not None and state["step"] == small_trainings.log(tmp_path / "run")[-1]["step"]


def test_shared_batch_normalisations_take_the_place_of_others_and_keep_their_tensors():
    twice = nn.BatchNorm2d(4)  # a layer in two places stays one
    network = nn.Sequential(nn.Conv2d(3, 4, 1), twice, nn.Sequential(nn.BatchNorm2d(4, eps=0.1)).eval(), twice)
    before = network.state_dict(keep_vars=True)
    assert distributed.share_batchnorm(network, torch.device("cpu")) is network
    after = network.state_dict(keep_vars=True)
    assert [*before] == [*after]
    assert all(after[name] is value for name, value in before.items())
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {type(norm) for norm in norms} == {distributed.SharedBatchNorm}
    assert [(norm.eps, norm.training) for norm in norms] == [(1e-5, True), (0.1, False)]
    assert network[1] is network[3]
