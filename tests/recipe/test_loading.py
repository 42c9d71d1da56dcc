import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail import recipe
from longtail.recipe import loading

PSC = "digits-lt/hybrid-psc"
CE = "digits-lt/ce"


def write(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(text)
    return str(file)


def mistake(*overrides: str, name: str = PSC) -> str:
    """The one line that overrides earn."""
    with pytest.raises(ValueError, match=r"\S") as caught:
        recipe.load(name, recipe.parse_overrides(overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- overrides --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("optimizer.lr=1e-4", 1e-4),
        ("optimizer.lr=1E-4", 1e-4),
        ("optimizer.lr=.5", 0.5),
        ("optimizer.lr=+2e1", 20.0),
        ("optimizer.lr=1", 1.0),
        ("epochs=3", 3),
        ("epochs = 3 ", 3),
        ("epochs=1_000", 1000),
        ("clip=null", None),
        ("clip=", None),
        ("clip=~", None),
        ("tensorboard=false", False),
        ("augment.mean=[0.1, 0.2, 0.3]", (0.1, 0.2, 0.3)),
        ("augment.mean=[0, 1, 1e-2]", (0.0, 1.0, 0.01)),
        ("name=a=b", "a=b"),
        ("name='1e5'", "1e5"),
        ("augment.jitter={}", recipe.Jitter()),
        ("augment.jitter.hue=0.2", 0.2),
        ("method.projection={dim: 16}", recipe.Projection(dim=16)),
        ("method.alpha={kind: constant, value: 0.3}", recipe.Constant(value=0.3)),
    ],
)
def test_override_is_yaml(override: str, value: object) -> None:
    found: Any = recipe.load(PSC, recipe.parse_overrides([override]))
    for key in override.partition("=")[0].strip().split("."):
        found = getattr(found, key)
    assert found == value
    assert type(found) is type(value)


def test_override_changes_nothing_else() -> None:
    changed = recipe.load(PSC, {"method.temperature": 0.07, "seed": 5})
    plain = recipe.load(PSC)
    assert changed.model_copy(update={"method": plain.method, "seed": plain.seed}) == plain


def test_last_override_of_a_setting_counts() -> None:
    assert recipe.load(PSC, recipe.parse_overrides(["seed=1", "epochs=2", "seed=3"])).seed == 3


def test_changed_kind_starts_the_block_from_its_defaults() -> None:
    loaded = recipe.load(PSC, {"method.kind": "hybrid-sc", "schedule.kind": "step", "network.kind": "resnet9"})
    assert loaded.method == recipe.HybridSC()
    assert loaded.schedule == recipe.StepDecay()
    assert loaded.network == recipe.ResNet9(width=8), "the kind it had already"


def test_order_of_kinds_and_values_does_not_matter() -> None:
    overrides = ["method.alpha.value=0.25", "method.alpha.kind=constant", "method.kind=hybrid-sc"]
    expected = recipe.HybridSC(alpha=recipe.Constant(value=0.25))
    assert recipe.load(PSC, recipe.parse_overrides(overrides)).method == expected
    assert recipe.load(PSC, recipe.parse_overrides(overrides[::-1])).method == expected


def test_block_and_a_value_in_it_may_both_be_given() -> None:
    loaded = recipe.load(PSC, {"method.temperature": 0.5, "method": {"kind": "hybrid-sc", "temperature": 0.2}})
    assert loaded.method == recipe.HybridSC(temperature=0.5)


@pytest.mark.parametrize("override", ["epochs", "=3", "", " =1", ".=1", "method.=1", ".epochs=1", "method..kind=ce"])
def test_override_of_no_form(override: str) -> None:
    assert mistake(override) == f"--set {override!r} is not of the form name=value, as in method.temperature=0.07"


@pytest.mark.parametrize("value", ["[1", "{a: 1, a: 2}", "2024-13-45", "!!python/name:os", "@"])
def test_override_with_a_value_that_is_not_yaml(value: str) -> None:
    assert mistake(f"epochs={value}").startswith(f"--set 'epochs={value}' is not right as YAML: ")


# --- mistakes: each is one line that names the setting, its value and what is allowed ---------------------------------


@pytest.mark.parametrize(
    ("override", "said"),
    [
        # values
        ("epochs=three", "epochs is 'three'; allowed: an integer of at least 1"),
        ("epochs=1.5", "epochs is 1.5; allowed: an integer of at least 1"),
        ("epochs=true", "epochs is true; allowed: an integer of at least 1"),
        ("epochs='3'", "epochs is '3'; allowed: an integer of at least 1"),
        ("epochs=", "epochs is null; allowed: an integer of at least 1"),
        ("epochs.foo=1", "epochs is {'foo': 1}; allowed: an integer of at least 1"),
        ("seed=-1", "seed is -1; allowed: an integer of at least 0 and below 4,294,967,296"),
        ("batch_size=0", "batch_size is 0; allowed: an integer of at least 1"),
        ("tensorboard=1", "tensorboard is 1; allowed: true or false"),
        ("name=7", "name is 7; allowed: text"),
        ("split=valid", "split is 'valid'; allowed: test or validation or null"),
        ("ema=1", "ema is 1; allowed: a number above 0 and below 1 or null"),
        ("clip=0", "clip is 0; allowed: a number above 0 or null"),
        ("data.imbalance=0.5", "data.imbalance is 0.5; allowed: a number of at least 1"),
        ("data.imbalance=.nan", "data.imbalance is nan; it must be finite"),
        ("data.name=mnist", "data.name is 'mnist'; allowed: digits, cifar10, cifar100, inaturalist2018 or own"),
        ("method.temperature=0", "method.temperature is 0; allowed: a number above 0"),
        ("method.temperature=-0.1", "method.temperature is -0.1; allowed: a number above 0"),
        ("method.temperature=.inf", "method.temperature is inf; it must be finite"),
        ("method.temperature=hot", "method.temperature is 'hot'; allowed: a number above 0"),
        ("augment.flip=yes", "augment.flip is true; allowed: a number of at least 0 and at most 1"),
        # lists
        ("augment.mean=3", "augment.mean is 3; allowed: a list of 3 values"),
        ("augment.mean=[0.1]", "augment.mean is [0.1]; allowed: a list of 3 values"),
        ("augment.mean=[1, 1, 1, 1]", "augment.mean is [1, 1, 1, 1]; allowed: a list of 3 values"),
        ("augment.mean=[0, 0, 2]", "augment.mean.2 is 2; allowed: a number of at least 0 and at most 1"),
        ("augment.mean.0=1", "augment.mean is {'0': 1}; allowed: a list of 3 values"),
        ("augment.resized_crop=[0.1]", "augment.resized_crop is [0.1]; allowed: a list of 2 values or null"),
        ("schedule={kind: step, milestones: 3}", "schedule.milestones is 3; allowed: a list of values"),
        (
            "schedule={kind: step, milestones: [0.5, x]}",
            "schedule.milestones.1 is 'x'; allowed: a number of at least 0 and at most 1",
        ),
        # blocks and their kinds
        ("augment.jitter=3", "augment.jitter is 3; allowed: a block of settings or null"),
        ("data=3", "data is 3; allowed: a block of settings"),
        ("groups=", "groups is null; allowed: a block of settings"),
        ("method.projection=3", "method.projection is 3; allowed: a block of settings"),
        ("method=3", "method is 3; allowed: a block of settings with kind ce, hybrid-psc, hybrid-sc or "),
        ("method={}", "setting method.kind is missing; allowed: ce, logit-adjustment, hybrid-sc or hybrid-psc"),
        ("method.kind=hybrid", "method.kind is 'hybrid'; allowed: ce, logit-adjustment, hybrid-sc or hybrid-psc"),
        ("method.kind=", "method.kind is null; allowed: ce, logit-adjustment, hybrid-sc or hybrid-psc"),
        (
            "method.alpha.kind=linaer",
            "method.alpha.kind is 'linaer'; allowed: parabolic, linear, cosine, constant or step",
        ),
        (
            "method.alpha=linear",
            "method.alpha is 'linear'; allowed: a block of settings with kind constant, cosine, linear, parabolic or ",
        ),
        # settings that are not there
        ("epohcs=3", "unknown setting epohcs; did you mean epochs?"),
        ("method.temprature=1", "unknown setting method.temprature; did you mean method.temperature?"),
        ("temperature=1", "unknown setting temperature; did you mean method.temperature?"),
        ("lr=0.1", "unknown setting lr; did you mean optimizer.lr?"),
        ("kind=ce", "unknown setting kind; did you mean network.kind, head.kind or method.kind?"),
        ("resolution=224", "unknown setting resolution (longtail recipes --schema lists all)"),
        (
            "method.nonsense=1",
            "unknown setting method.nonsense; allowed in method: kind, temperature, alpha, projection, ",
        ),
        (
            "method.alpha.value=1",
            "setting method.alpha.value does not go with method.alpha.kind parabolic, only with constant",
        ),
        ("network.name=resnet50", "setting network.name does not go with network.kind resnet9, only with timm"),
        (
            "method={kind: ce, alpha: 1}",
            "setting method.alpha does not go with method.kind ce, only with hybrid-sc or ",
        ),
        # values that do not go together
        (
            "data.workers=2",
            "data: workers is 2, but images are in memory; set in_memory to false or workers to 0",
        ),
        ("groups.few=200", "groups: few is 200 and many is 100; few must not exceed many"),
        (
            "augment.resized_crop=[0.9, 0.1]",
            "augment: resized_crop is [0.9, 0.1]; the first share must not exceed the second",
        ),
        (
            "augment.resized_crop=[0.1, 0.9]",
            "augment: crop_padding is 2 and resized_crop is set; choose one of the two crops",
        ),
        (
            "data={name: digits, profile: natural, n_max: 5}",
            "data: n_max is 5, but profile natural takes all images; set n_max to null",
        ),
        (
            "optimizer={lr: 1, momentum: 0, nesterov: true}",
            "optimizer: nesterov is true and momentum is 0; Nesterov's method needs a momentum above 0",
        ),
    ],
)
def test_mistake_in_one_line(override: str, said: str) -> None:
    assert mistake(override).startswith(said)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("path", "'/birds'"),
        ("form", "'folder'"),
        ("root", "'/birds'"),
        ("label_column", "'species'"),
        ("group_by", "'none'"),
        ("test_share", "0.0"),
        ("validation_share", "0.1"),
        ("packed", "false"),
        ("max_unreadable", "0.0"),
        ("min_images", "5"),
        ("on_rare", "'error'"),
    ],
)
def test_settings_of_own_data_fit_no_other(setting: str, value: str) -> None:
    said = mistake(f"data.{setting}={value}")
    assert said == f"data: {setting} is {value}, but name is digits; only custom data has it"
    own = recipe.load(PSC, recipe.parse_overrides([*OWN, "data.min_images=5", f"data.{setting}={value}"]))
    assert getattr(own.data, setting) is not None


OWN = ("data.name=own", "data.profile=null", "data.imbalance=100")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.path=''", "data.path is ''; allowed: text that is not empty or null"),
        ("data.form=csv", "data.form is 'csv'; allowed: hub, table, coco, inaturalist, list or folder or null"),
        ("data.test_share=1", "data.test_share is 1; allowed: a number of at least 0 and below 1 or null"),
        (
            "data={name: own, test_share: 0.5, validation_share: 0.5}",
            "data: test_share is 0.5 and validation_share 0.5;",
        ),
        ("data.validation=3", "data: validation is 3, but name is own; set validation_share instead"),
        ("data.n_max=3", "data: n_max is 3, but profile natural takes all images; set n_max to null"),
        ("data.on_rare=drop", "data: on_rare is 'drop'; allowed: keep, error or merge:NAME"),
        ("data.on_rare='merge: '", "data: on_rare is 'merge: '; allowed: keep, error or merge:NAME"),
        ("data.on_rare=error", "data: on_rare is error, but no class is rare; set min_images"),
        (
            "network={kind: timm, pretrained: true, weights: /w}",
            "network: weights is /w and pretrained is true; choose one of the two",
        ),
    ],
)
def test_mistake_with_own_data(override: str, said: str) -> None:
    assert mistake(*OWN, override).startswith(said)


def test_own_data_is_taken_as_it_is_unless_a_profile_is_said() -> None:
    assert recipe.load(PSC, recipe.parse_overrides(OWN)).data.profile_used == "natural"
    assert recipe.load(PSC, recipe.parse_overrides([*OWN, "data.profile=step"])).data.profile_used == "step"
    assert recipe.load(PSC, {"data.profile": None}).data.profile_used == "exponential"


def test_paths_are_those_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    paths = ["data.path=birds/../images", "data.root=~/data", "network={kind: timm, weights: resnet.pth}"]
    one = recipe.load(PSC, recipe.parse_overrides([*OWN, *paths]))
    assert (one.data.path, one.data.root) == (str(tmp_path / "images"), "/home/me/data")
    assert isinstance(one.network, recipe.Timm) and one.network.weights == str(tmp_path / "resnet.pth")


def test_validation_split_needs_images() -> None:
    said = mistake("split=validation", "data.validation=0")
    assert said == "split is validation and data.validation is 0; hold out at least 1 image per class"


def test_missing_setting(tmp_path: Path) -> None:
    text = recipe.text_of(CE).replace("epochs: 60\n", "")
    assert mistake(name=write(tmp_path, text)) == "setting epochs is missing; allowed: an integer of at least 1"


def test_missing_setting_of_a_block(tmp_path: Path) -> None:
    text = recipe.text_of(CE).replace("  lr: 0.1\n", "")
    assert mistake(name=write(tmp_path, text)) == "setting optimizer.lr is missing; allowed: a number above 0"


def test_several_mistakes_tell_the_first_and_name_the_others() -> None:
    said = mistake("epohcs=3", "method.temperature=0", "seed=x")
    assert said == ("unknown setting epohcs; did you mean epochs? (2 more mistakes: seed, method.temperature)")


def test_misspelt_setting_counts_more_than_the_missing_one(tmp_path: Path) -> None:
    text = recipe.text_of(CE).replace("epochs: 60\n", "epohcs: 60\n")
    said = mistake(name=write(tmp_path, text))
    assert said == "unknown setting epohcs; did you mean epochs? (1 more mistake: epochs)"


def test_long_value_is_cut() -> None:
    assert len(mistake(f"epochs={'x' * 5000}")) < 200


def test_every_setting_explains_a_value_it_cannot_take() -> None:
    """No place in a recipe is without words, whichever kinds are chosen."""
    nonsense = "{none: of, this: fits}"
    for kinds in KINDS:
        kinds = [*kinds, "augment.jitter={}", "published={top1: 0.5, source: x}"]
        # Where one of these is null, it is a block that the method does not take, or that is asked for in its own turn.
        for name in set(_leaves(recipe.load(PSC, recipe.parse_overrides(kinds)).model_dump(mode="json"))) - {"pruning"}:
            said = mistake(*kinds, f"{name}={nonsense}")
            assert re.fullmatch(rf"{re.escape(name)} is .*; allowed: \S.*", said), name


KINDS = (
    ["method.kind=hybrid-psc", "network.kind=timm", "head.kind=linear", "schedule.kind=step"],
    ["method.kind=hybrid-sc", "method.alpha.kind=constant", "network.kind=resnet9", "head.kind=cosine"],
    ["method.kind=ce", "network.kind=resnet32", "schedule.kind=one-cycle", "pruning={}"],
    ["method.kind=logit-adjustment", "network.kind=airbench", "optimizer={kind: muon, lr: 0.1}", "pruning={}"],
    ["method.kind=logit-adjustment", "schedule.kind=cosine"],
)


def _leaves(block: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


# --- where recipes come from ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("digits-lt/hybrid-pcs", "; did you mean digits-lt/hybrid-psc"),
        ("digits-lt/ce.yaml", "; did you mean digits-lt/ce"),
        ("cifar100-lt-100/hybridpsc", "; did you mean cifar100-lt-100/hybrid-psc"),
        (
            "digits-lt",
            "; did you mean digits-lt/ce, digits-lt/hybrid-psc, digits-lt/hybrid-sc or digits-lt/logit-adjustment?",
        ),
        (
            "digits-lt/",
            "; did you mean digits-lt/ce, digits-lt/hybrid-psc, digits-lt/hybrid-sc or digits-lt/logit-adjustment?",
        ),
        ("nothing like it.yml", ""),
        ("digits-lt/ce/more", "; did you mean digits-lt/ce"),
    ],
)
def test_unknown_recipe_suggests_the_nearest(name: str, hint: str) -> None:
    said = mistake(name=name)
    assert said.startswith(f"unknown recipe {name!r}: neither shipped, nor a file or folder{hint}")
    assert said.endswith("(longtail recipes lists all)")
    assert ("did you mean" in said) == bool(hint)


def test_folder_is_no_recipe(tmp_path: Path) -> None:
    assert "is a folder; give a YAML file or a shipped recipe" in mistake(name=str(tmp_path))
    (tmp_path / "recipe.yaml").touch()
    assert "is a folder; continue a run with longtail resume" in mistake(name=str(tmp_path))


def test_binary_file_is_no_recipe(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"\x80\x02\xff\x00")
    assert mistake(name=str(file)) == f"recipe '{file}' is not text in UTF-8"
    file.write_bytes(b"PK\x03\x04\x00")
    assert mistake(name=str(file)).startswith(f"{file} is not right as YAML: unacceptable character")


def test_name_that_is_too_long_for_a_file() -> None:
    assert mistake(name="x" * 5000).endswith("cannot be read: File name too long")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds nothing; a recipe is a mapping of settings"),
        ("# only a comment\n", "holds nothing; a recipe is a mapping of settings"),
        ("- epochs: 3\n", "holds a list; a recipe is a mapping of settings"),
        ("epochs\n", "holds a str; a recipe is a mapping of settings"),
        ("epochs: 3\n  batch_size: 4\n", "is not right as YAML: line 2: mapping values are not allowed here"),
        ("epochs: 3\nepochs: 4\n", "is not right as YAML: line 2: epochs stands there twice"),
        (
            "data:\n  name: digits\n  seed: 1\n  name: cifar10\n",
            "is not right as YAML: line 4: name stands there twice",
        ),
        ("epochs: [3\n", "is not right as YAML: "),
        ("epochs: 3\n---\nepochs: 4\n", "is not right as YAML: line 2: but found another document"),
        ("epochs:\t3\n\tx: 1\n", "is not right as YAML: "),
        ("epochs: !!python/object:os.system {}\n", "is not right as YAML: could not determine a constructor"),
        ("? [a, b]\n: 3\n", "is not right as YAML: "),
    ],
)
def test_file_that_is_no_recipe(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, text)
    assert mistake(name=file).startswith(f"{file} {said}")


def test_keys_that_are_no_names(tmp_path: Path) -> None:
    assert mistake(name=write(tmp_path, recipe.text_of(CE) + "3: 4\n")).startswith("unknown setting 3")


def test_name_is_that_of_the_recipe_or_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, recipe.text_of(CE))
    assert recipe.load(CE).name == CE
    assert recipe.load(file).name == "mine"
    assert recipe.load(file, {"name": "other"}).name == "other"
    assert recipe.load(write(tmp_path, "name: own\n" + recipe.text_of(CE))).name == "own"


def test_file_from_a_windows_editor(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + recipe.text_of(CE).replace("\n", "\r\n").encode())
    assert recipe.load(str(file)) == recipe.load(CE, {"name": "mine"})


def test_shipped_names_are_in_the_order_of_their_numbers() -> None:
    folders = list(dict.fromkeys(name.partition("/")[0] for name in recipe.shipped()))
    assert folders[:4] == ["cifar10-lt-10", "cifar10-lt-50", "cifar10-lt-100", "cifar100-lt-10"]


def test_recipe_does_not_change() -> None:
    loaded = recipe.load(CE)
    with pytest.raises(ValueError, match="frozen"):
        loaded.epochs = 3  # type: ignore[misc]


# --- round trip and schema --------------------------------------------------------------------------------------------

fractions = st.floats(0, 1)
shares = st.floats(0, 1, exclude_max=True)
positives = st.floats(0, 1e6, exclude_min=True)
alphas = st.one_of(
    st.builds(recipe.Parabolic),
    st.builds(recipe.Constant, value=fractions),
    st.builds(recipe.Switch, at=fractions),
)
projections = st.builds(recipe.Projection, hidden=st.none() | st.integers(1, 4096), dim=st.integers(1, 512))
methods = st.one_of(
    st.builds(recipe.CrossEntropy, sampling=st.sampled_from(["instance", "balanced"]), smoothing=shares),
    st.builds(recipe.LogitAdjustment, tau=positives, smoothing=shares),
    st.builds(recipe.HybridSC, temperature=positives, alpha=alphas, projection=projections),
    st.builds(
        recipe.HybridPSC,
        temperature=positives,
        alpha=alphas,
        projection=projections,
        prototypes_per_class=st.integers(1, 9),
    ),
)
schedules = st.one_of(
    st.builds(recipe.StepDecay, milestones=st.lists(fractions, max_size=3).map(tuple), factor=positives),
    st.builds(recipe.CosineDecay, warmup=st.floats(0, 1, exclude_max=True)),
)
networks = st.one_of(
    st.builds(recipe.ResNet32),
    st.builds(recipe.ResNet9, width=st.integers(1, 64)),
    st.builds(recipe.Airbench, width=st.integers(1, 64), depth=st.sampled_from([2, 3])),
    st.builds(recipe.Airbench, width=st.integers(1, 32).map(lambda n: 2 * n), mirrored=st.just(True)),
    st.builds(recipe.Timm, name=st.text(), pretrained=st.booleans()),
)
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    # texts that YAML takes for something else unless they are quoted
    st.sampled_from(
        ["1e-4", "1E5", "-.5e3", "1e400", "null", "~", "yes", "1:30", "0x1f", "2024-01-01", "=", "<<", " x ", "[a]"]
    ),
)
jitters = st.none() | st.builds(recipe.Jitter, brightness=st.floats(0, 9), hue=st.floats(0, 0.5))


@settings(max_examples=200)
@given(
    texts,
    st.integers(0, 2**32 - 1),
    methods,
    schedules,
    networks,
    positives,
    jitters,
    st.tuples(fractions, fractions, fractions),
)
def test_dump_and_load_give_the_same_recipe(
    name: str, seed: int, method: Any, schedule: Any, network: Any, lr: float, jitter: Any, mean: Any
) -> None:
    base = recipe.load(CE)
    one = recipe.Recipe(
        **{
            **dict(base),
            "name": name,
            "seed": seed,
            "method": method,
            "schedule": schedule,
            "network": network,
            "optimizer": recipe.SGD(lr=lr),
            "augment": recipe.Augment(
                mean=mean, std=(1e-9, 1.0, 5e5), jitter=jitter, stages=((0.1, 8), (1 / 3, 9)), stage_scale=4 / 3
            ),
        }
    )
    text = recipe.dump(one)
    assert recipe.parse(loading._read_yaml(text, "dump")) == one


def test_dump_is_read_back_from_a_file(tmp_path: Path) -> None:
    one = recipe.load(PSC, {"optimizer.lr": 1e-07, "clip": 3})
    assert recipe.load(write(tmp_path, recipe.dump(one))) == one


def test_names_are_all_there_are() -> None:
    names = recipe.names()
    assert len(set(names)) == len(names)
    assert {"epochs", "data.imbalance", "method.alpha.at", "method.projection.hidden", "network.pretrained"} <= {*names}
    assert {"schedule.milestones", "head.scale", "published.top1", "augment.jitter.hue"} <= {*names}
    for shipped in recipe.shipped():
        assert {*_leaves(recipe.load(shipped).model_dump(mode="json"))} <= {*names}


def test_schema_is_complete_and_closed() -> None:
    schema = recipe.schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    definitions = schema["$defs"]
    blocks = [schema, *definitions.values()]
    assert all(block["type"] == "object" and block["additionalProperties"] is False for block in blocks)
    used = {reference.rpartition("/")[2] for reference in _values(schema, "$ref")}
    assert used == definitions.keys()
    assert schema["required"] == [
        "epochs",
        "batch_size",
        "data",
        "augment",
        "network",
        "method",
        "optimizer",
        "schedule",
    ]


def test_schema_describes_every_setting_and_every_block() -> None:
    """What an editor shows beside a setting."""
    blocks = [recipe.schema(), *recipe.schema()["$defs"].values()]
    assert all(block["description"].endswith(".") for block in blocks)
    bare = [
        f"{block['title']}.{name}"
        for block in blocks
        for name, setting in block["properties"].items()
        if not setting.get("description")
    ]
    assert not bare


def _values(tree: Any, key: str) -> Iterator[Any]:
    if isinstance(tree, dict):
        yield from ([tree[key]] if key in tree else [])
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from _values(each, key)


def test_an_optimiser_without_a_kind_is_sgd() -> None:
    one = recipe.load(CE)
    assert isinstance(one.optimizer, recipe.SGD)
    raw = one.model_dump(mode="json")
    del raw["optimizer"]["kind"]
    assert recipe.parse(raw) == one
    assert recipe.load(CE, {"optimizer.kind": "sgd"}) == one


def test_another_optimiser_starts_from_its_defaults() -> None:
    assert recipe.load(CE, {"optimizer.lr": 0.1, "optimizer.kind": "muon"}).optimizer == recipe.Muon(lr=0.1)
    assert mistake("optimizer.kind=adam") == "optimizer.kind is 'adam'; allowed: sgd or muon"
    assert mistake("optimizer.factor=1") == (
        "setting optimizer.factor does not go with optimizer.kind sgd, only with muon"
    )


def test_a_choice_of_numbers_is_named_as_one_of_words_is() -> None:
    assert mistake("network.kind=airbench", "network.depth=4") == "network.depth is 4; allowed: 2 or 3"


def test_a_mirrored_network_has_two_copies_of_as_many_channels() -> None:
    said = mistake("network.kind=airbench", "network.mirrored=true", "network.width=95")
    assert said == "network: width is 95 and mirrored is true; allowed then: an even width"


def test_stages_of_image_sizes_follow_each_other() -> None:
    assert recipe.load(CE, {"augment.stages": [[0.4, 16], [0.7, 24]]}).augment.stages == ((0.4, 16), (0.7, 24))
    said = mistake("augment.stages=[[0.7, 16], [0.7, 24]]")
    assert said == "augment: stages end at 0.7, 0.7; each must end after the one before"
    assert "augment.stages" in mistake("augment.stages=[[0.5, 4]]")


def test_a_scale_of_stages_needs_stages_and_makes_nothing_larger() -> None:
    assert recipe.load(CE, {"augment.stages": [[0.5, 16]], "augment.stage_scale": 1.5}).augment.stage_scale == 1.5
    said = mistake("augment.stage_scale=1.5")
    assert said == "augment: stage_scale is 1.5, but there are no stages; set stages, or stage_scale to 1"
    gone = "augment.stages=[]", "augment.stage_scale=1"
    assert not recipe.load("cifar10-lt-10/best-hour", recipe.parse_overrides(gone)).augment.stages
    for scale in ("0.5", "1e308"):
        said = mistake(f"augment.stage_scale={scale}")
        assert said == f"augment.stage_scale is {float(scale)!r}; allowed: a number of at least 1 and at most 4"


def test_a_text_from_before_a_setting_existed_still_says_the_same_recipe():
    settings = recipe.load("digits-lt/ce")
    text = recipe.dump(settings)
    older = text.replace("pruning: null\n", "")
    assert older != text
    assert recipe.says(older, settings)
    assert not recipe.says(older.replace("seed: 0", "seed: 1"), settings)
    assert not recipe.says(older, recipe.load("digits-lt/ce", {"pruning.share": 0.5}))


def test_a_retired_setting_that_was_off_is_dropped_and_one_that_was_on_is_refused() -> None:
    retired = {"mixup": 0.0, "method.mixup": None}
    old = {"epochs": 3, "mixup": 0.0, "method": {"kind": "ce", "mixup": None}, "data": None}
    assert loading.without_retired(old, retired) == {"epochs": 3, "method": {"kind": "ce"}, "data": None}
    assert loading.without_retired({"epochs": 3, "method": 1}, retired) == {"epochs": 3, "method": 1}
    with pytest.raises(ValueError, match=r"method\.mixup is 0\.2, but this setting was removed; allowed: .* null"):
        loading.without_retired({"method": {"mixup": 0.2}}, retired)


def test_files_overrides_and_saved_texts_may_have_retired_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = recipe.load(CE)
    monkeypatch.setattr(loading, "_RETIRED", {"method.mixup": None})
    saved = recipe.dump(plain).replace("method:\n", "method:\n  mixup: null\n")
    assert recipe.says(saved, plain)
    assert recipe.load(write(tmp_path, saved)) == plain
    assert recipe.load(CE, {"method.mixup": None}) == plain


def test_a_recipe_from_when_logit_adjustment_could_have_prototypes_loads_if_it_had_none() -> None:
    older = recipe.dump(recipe.load("digits-lt/logit-adjustment")).replace("  tau: 1.0\n", "  tau: 1.0\n  psc: null\n")
    assert "psc: null" in older
    assert recipe.says(older, recipe.load("digits-lt/logit-adjustment"))
    with pytest.raises(ValueError, match=r"method\.psc is \{.*\}, but this setting was removed"):
        recipe.says(older.replace("psc: null", "psc: {weight: 1.0}"), recipe.load("digits-lt/logit-adjustment"))
