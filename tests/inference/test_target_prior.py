"""Shifts: files of class distributions in every form, and what a wanted distribution does to predictions."""

import json
import math

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.inference import label_shift, target_prior
from longtail.inference.label_shift import Estimate
from longtail.inference.predict import PredictedBatch
from support import untrained
from support.messages import one_line

NAMES = ("cat", "dog", "emu")


def model_of(names=NAMES, *, counts=(6, 3, 1), assumed=(0.6, 0.3, 0.1)):
    return untrained.model(names, counts=counts, assumed=assumed)


def found():
    """Two batches; an image in each cannot be predicted."""
    yield PredictedBatch(["a", "b"], np.array([[0.5, 0.3, 0.2]], np.float32), {1: "is broken"})
    yield PredictedBatch(["c", "d"], np.array([[0.1, 0.1, 0.8]], np.float32), {0: "is too"})


def probabilities(shifted):
    return np.concatenate([each.probabilities for each in shifted.found])


# --- what is wanted ---------------------------------------------------------------------------------------------------


def test_nothing_wanted_changes_nothing():
    same = found()
    assert target_prior.shift(model_of(assumed=None), same, None) == (same, None)


@pytest.mark.parametrize(
    ("prior", "wanted"), [("train", [0.6, 0.3, 0.1]), ("uniform", [1.0, 1.0, 1.0]), ("FILE", [0.1, 0.2, 0.7])]
)
@pytest.mark.parametrize("assumed", [(0.6, 0.3, 0.1), (1 / 3, 1 / 3, 1 / 3)])
def test_probabilities_are_adjusted_and_all_else_stays(tmp_path, prior, wanted, assumed):
    file = tmp_path / "prior.json"
    target_prior.write(file, NAMES, np.array([0.1, 0.2, 0.7]))
    shifted = target_prior.shift(model_of(assumed=assumed), found(), str(file) if prior == "FILE" else prior)
    assert shifted.estimate is None
    rows = list(shifted.found)
    assert [(row.names, row.reasons) for row in rows] == [(row.names, row.reasons) for row in found()]
    for before, after in zip(found(), rows, strict=True):
        right = label_shift.adjust(before.probabilities, assumed=np.array(assumed), wanted=np.array(wanted))
        np.testing.assert_allclose(after.probabilities, right)


def test_predictions_are_asked_for_one_by_one():
    asked = []

    def endless():
        for n in range(10**9):
            asked.append(n)
            yield PredictedBatch(["a"], np.array([[0.5, 0.3, 0.2]], np.float32), {})

    for prior in (None, "train", "uniform"):
        rows = iter(target_prior.shift(model_of(), endless(), prior).found)
        assert not asked
        next(rows)
        next(rows)
        assert len(asked) == 2
        asked.clear()


def test_a_class_without_training_images_stays_out(tmp_path):
    model = model_of(counts=(5, 5, 0), assumed=(0.5, 0.5, 0.0))
    for prior in ("train", "uniform"):
        assert (probabilities(target_prior.shift(model, found(), prior))[:, 2] == 0).all()
    (tmp_path / "p.csv").write_text("cat,1\ndog,1\nemu,1\n")
    with pytest.raises(ValueError, match="gives a share to emu") as error:
        target_prior.shift(model, found(), f"{tmp_path}/p.csv")
    one_line(error, "give 0")


@pytest.mark.parametrize("prior", ["train", "uniform", "estimate", "prior.csv"])
def test_an_old_run_does_not_say_what_it_assumes(prior):
    with pytest.raises(ValueError, match="does not say which class distribution") as error:
        target_prior.shift(model_of(assumed=None), found(), prior)
    one_line(error, f"prior is {prior}", "leave --prior out")


# --- estimate ---------------------------------------------------------------------------------------------------------


def mixture(shares, *, images, sharpness=1.0):
    """What a model says of images whose classes are that frequent; calibrated if sharpness is 1."""
    rng, assumed = np.random.default_rng(0), np.array([0.6, 0.3, 0.1])
    labels = rng.choice(3, images, p=shares)
    seen = rng.normal(2 * np.eye(3)[labels], 1.0)
    logits = sharpness * (2 * seen + np.log(assumed))
    e = np.exp(logits - logits.max(1, keepdims=True))
    return labels, (e / e.sum(1, keepdims=True)).astype(np.float32)


def test_a_distribution_is_estimated_and_used():
    truth = np.array([0.1, 0.2, 0.7])
    labels, said = mixture(truth, images=5000)
    batches = (PredictedBatch([""] * len(each), each, {}) for each in np.array_split(said, 50))
    shifted = target_prior.shift(model_of(), batches, "estimate")
    assert shifted.estimate is not None
    np.testing.assert_allclose(shifted.estimate.prior, truth, atol=0.02)
    assert (probabilities(shifted).argmax(1) == labels).mean() > (said.argmax(1) == labels).mean() + 0.1
    assert not any(
        "still changing" in line for line in target_prior.describe(model_of(), shifted.estimate, images=5000)
    )


def test_a_model_that_misjudges_itself_makes_the_estimate_wrong():
    """Which is why the estimate comes with a warning. Twice too sure: too little changes; half as sure: too much."""
    truth, found_ = 0.7, {}
    for sharpness in (0.5, 1.0, 2.0):
        _, said = mixture([0.1, 0.2, truth], images=5000, sharpness=sharpness)
        estimate = target_prior.shift(model_of(), iter([PredictedBatch([""] * 5000, said, {})]), "estimate").estimate
        assert estimate is not None
        found_[sharpness] = estimate.prior[2]
        assert "too sure of itself" in target_prior.describe(model_of(), estimate, images=5000)[-1]
    assert found_[1.0] == pytest.approx(truth, abs=0.02)
    assert found_[2.0] < truth - 0.05
    assert found_[0.5] > truth + 0.1


def test_broken_images_do_not_count_and_without_others_there_is_no_estimate():
    one = target_prior.shift(model_of(), found(), "estimate")
    assert one.estimate is not None
    assert [row.reasons for row in one.found] == [{1: "is broken"}, {0: "is too"}]
    broken = PredictedBatch(["a"], np.empty((0, 3), np.float32), {0: "is broken"})
    none = target_prior.shift(model_of(), iter([broken]), "estimate")
    assert none.estimate is None
    assert list(none.found) == [broken]
    assert target_prior.shift(model_of(), iter([]), "estimate") == ([], None)


def test_an_estimate_in_words():
    first, second, third, last = target_prior.describe(
        model_of(), Estimate(np.array([0.2, 0.8, 0.0]), 1000, 1e-3), images=1200
    )
    assert first == (
        "class distribution estimated from 1,200 images; largest changes: dog 30.0% -> 80.0%, cat 60.0% -> 20.0%, "
        "emu 10.0% -> 0.0%"
    )
    assert second == "1 class seems not to occur, and is hardly predicted any more: emu"
    assert third.startswith("the estimate was still changing after 1,000 rounds")
    assert "ECE" in last
    lines = target_prior.describe(model_of(), Estimate(np.array([1.0, 0.0, 0.0]), 3, 0.0), images=1)
    assert lines[0].startswith("class distribution estimated from 1 image; ")
    assert lines[1] == "2 classes seem not to occur, and are hardly predicted any more: dog, emu"
    assert len(target_prior.describe(model_of(), Estimate(np.array([0.5, 0.3, 0.2]), 3, 0.0), images=9)) == 2


# --- files ------------------------------------------------------------------------------------------------------------

class_names = st.lists(
    st.text(st.characters(categories=["L", "N"], codec="ascii"), min_size=1, max_size=6), min_size=2, unique=True
)
numbers = st.floats(0, 1e308, allow_subnormal=False) | st.integers(0, 10**12)


@given(class_names, st.data())
def test_a_distribution_is_read_from_every_kind_of_file(tmp_path_factory, names, data):
    folder = tmp_path_factory.mktemp("priors")
    shares = data.draw(st.lists(numbers, min_size=len(names), max_size=len(names)).filter(any))
    order = data.draw(st.permutations(range(len(names))))
    pairs = [(names[c], shares[c]) for c in order]
    largest = max(shares)
    right = np.array([share / largest for share in shares])
    right /= right.sum()
    rows = "".join(f"{name},{share!r}\n" for name, share in pairs)
    (folder / "a.csv").write_text(f"class,share\n{rows}")
    (folder / "a.tsv").write_text(f"class\tshare\n{rows}".replace(",", "\t"))
    (folder / "a.json").write_text(json.dumps(dict(pairs)))
    (folder / "a.jsonl").write_text("".join(json.dumps({"class": n, "count": s}) + "\n" for n, s in pairs))
    table = pyarrow.table({"name": [name for name, _ in pairs], "n": [float(share) for _, share in pairs]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")
    for file in folder.iterdir():
        np.testing.assert_allclose(target_prior.read(file, names), right, rtol=1e-9)
    target_prior.write(folder / "b.json", names, right)
    np.testing.assert_allclose(target_prior.read(folder / "b.json", names), right, rtol=1e-15)


@pytest.mark.parametrize(
    "content",
    [
        "cat,7\ndog,2\nemu,1\n",  # no names of columns
        "class,images\nemu,1\ncat,7\ndog,2\n",
        "class;share\ncat;0.7\ndog;0.2\nemu;0.1\n",
        "\ufeffclass,share\r\n cat ,0.7\r\ndog,2e-1\r\n\r\nemu, 0.1",
    ],
)
def test_tables_as_people_write_them(tmp_path, content):
    (tmp_path / "p.CSV").write_text(content, encoding="utf-8", newline="")
    np.testing.assert_allclose(target_prior.read(tmp_path / "p.CSV", NAMES), [0.7, 0.2, 0.1])


def test_names_are_compared_as_they_are_seen(tmp_path):
    (tmp_path / "p.json").write_text('{"cafe\u0301": 1, "x": 3}', encoding="utf-8")
    assert target_prior.read(tmp_path / "p.json", ["caf\u00e9", "x"]).tolist() == [0.25, 0.75]


FILES = {
    "unknown.csv": ("cat,1\ndgo,1\nemu,1\n", ["names 'dgo'", "did you mean dog?"]),
    "other.csv": ("cat,1\nzebra,1\nemu,1\n", ["names 'zebra'", "it has cat, dog, emu"]),
    "missing.csv": ("cat,1\nemu,1\n", ["lacks 1 class: dog", "give 0"]),
    "twice.csv": ("cat,1\ndog,1\nemu,1\ndog,2\n", ["has class dog twice"]),
    "word.csv": ("class,share\ncat,much\ndog,1\nemu,1\n", ["the share of cat is 'much'", "at least 0"]),
    "percent.csv": ("cat,1\ndog,90%\nemu,1\n", ["the share of dog is '90%'"]),
    "comma.csv": ("class;share\ncat;0,9\ndog;1\nemu;1\n", ["the share of cat is '0,9'"]),
    "negative.csv": ("cat,1\ndog,-1\nemu,1\n", ["the share of dog is '-1'", "at least 0"]),
    "nan.csv": ("cat,nan\ndog,1\nemu,1\n", ["the share of cat is 'nan'"]),
    "inf.csv": ("cat,1\ndog,inf\nemu,1\n", ["the share of dog is 'inf'"]),
    "nothing.csv": ("cat,1\ndog,\nemu,1\n", ["the share of dog is ''"]),
    "zero.csv": ("cat,0\ndog,0\nemu,0\n", ["gives 0 to every class"]),
    "empty.csv": ("", ["is empty"]),
    "one.csv": ("cat\ndog\nemu\n", ["has 1 column", "needed are 2"]),
    "three.csv": ("cat,1,x\ndog,1,y\nemu,1,z\n", ["has 3 columns", "needed are 2"]),
    "ragged.csv": ("cat,1\ndog\nemu,1\n", ["line 2 has 1 cell"]),
    "twice.json": ('{"cat": 1, "dog": 1, "emu": 1, "cat": 2}', ["has class cat twice"]),
    "damaged.json": ('{"cat": 1,', ["damaged.json is not JSON"]),
    "deep.json": ("[" * 100_000, ["deep.json is not JSON"]),
    "list.json": ("[1, 2, 3]", ["does not map classes to shares", '{"cat": 0.9']),
    "pairs.json": ("[[1, 2]]", ["does not map classes to shares"]),
    "number.json": ("3", ["does not map classes to shares"]),
    "nested.json": ('{"cat": {"n": 1}, "dog": 1, "emu": 1}', ["the share of cat is"]),
    "null.json": ('{"cat": null, "dog": 1, "emu": 1}', ["the share of cat is 'null'"]),
    "true.json": ('{"cat": true, "dog": 1, "emu": 1}', ["the share of cat is 'true'"]),
    "latin.json": (b'{"caf\xe9": 1}', ["latin.json is not JSON"]),
    "latin.csv": (b"class,share\ncaf\xe9,1\n", ["line 2 is not UTF-8"]),
    "bad.jsonl": ("{}}\n", ["line 1 is not JSON"]),
    "bad.parquet": ("PAR1", ["is not a complete parquet file"]),
    "prior.txt": ("cat 1\n", ["prior is", "ends in '.txt'", "train, uniform, estimate"]),
    "prior": ("cat 1\n", ["prior is", "ends in ''", ".csv"]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_in_a_file_is_one_line(tmp_path, name):
    content, words = FILES[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=name) as error:
        target_prior.shift(model_of(), found(), f"{tmp_path}/{name}")
    one_line(error, *words)


@pytest.mark.parametrize(
    ("prior", "words"), [("unifrom", "does not exist"), (".", "is a folder"), ("no.csv", "no.csv")]
)
def test_what_is_no_file_is_one_line(tmp_path, monkeypatch, prior, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="prior is") as error:
        target_prior.shift(model_of(), found(), prior)
    one_line(error, words, "allowed: train, uniform, estimate, or a file")


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    target_prior.write(tmp_path / "p.json", NAMES, np.array([0.1, 0.2, 0.7]))
    assert not math.isnan(probabilities(target_prior.shift(model_of(), found(), "~/p.json")).sum())
