"""What other people's code may rely on: the names that have a page in the reference, and that they can be imported."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

import longtail
from longtail import losses

MODULES = ["longtail", *sorted(each.name for each in pkgutil.walk_packages(longtail.__path__, "longtail."))]
API = Path(__file__).parents[1] / "docs" / "reference" / "api"

# All public names. One that is gone, or renamed, breaks somebody's code: that needs a line in the changelog, and then
# one here. One that is new is a promise.
PUBLIC = {
    "longtail": """
        Classifier __version__
    """,
    "longtail.data.augment": """
        Augmentation Jitter Parameters augment draw mixed normalise small
    """,
    "longtail.data.batches": """
        Batch Encoded Mixed Plan Rows Sampling Stream decoded in_memory order stack
    """,
    "longtail.data.class_counts": """
        Counts Groups count effective_numbers exponential gini pareto priors step subset
    """,
    "longtail.data.sources": """
        Format Images Listing NAMES Name Pixels Source Split cache_folder describe fingerprint load read
        read_parquet unlabelled
    """,
    "longtail.inference.label_shift": """
        Estimate Prior Probabilities adjust estimate
    """,
    "longtail.losses": """
        adjusted_logits anchors_without_positive at_least_float32 logit_adjusted prototypical
        smoothed_cross_entropy supervised_contrastive
    """,
    "longtail.methods": """
        CrossEntropy HybridPSC HybridSC LogitAdjustment Method Step
    """,
    "longtail.metrics": """
        Bin ClassResult Interval METRICS Metric Outcomes Summary bootstrap confusion expected_calibration_error
        fit_temperature macro_f1 negative_log_likelihood recalls reliability softmax summarise top_k_accuracy wilson
    """,
    "longtail.networks": """
        Airbench Backbone CosineClassifier ImageClassifier Images LinearClassifier MirroredAirbench
        ProjectionMLP ResNet32 ResNet9 TimmBackbone initialise parameters_in_millions
    """,
    "longtail.optim.muon": """
        Muon orthogonalised
    """,
    "longtail.optim.schedules": """
        Clock cosine cosine_decay linear linear_decay parabolic staged step_decay switch warmup
    """,
    "longtail.recipe": """
        Airbench Alpha Augment Constant ConstantRate Cosine CosineDecay CosineHead CrossEntropy Data Groups Head
        HybridPSC HybridSC Jitter Linear LinearHead LogitAdjustment Method Muon Network OneCycle Optimizer
        Parabolic Projection Pruning Published Recipe ResNet32 ResNet9 SGD Schedule Settings StepDecay Switch
        Timm Warmup dump load names network_name parse parse_overrides says schema shipped text_of
    """,
    "longtail.recipe.build": """
        alpha augmentation average backbone classifier groups image_size learning_rate method optimizer sampler
    """,
    "longtail.report": """
        MOST Verdicts render write_pages
    """,
    "longtail.runs.folder": """
        Predictions RunDir unused
    """,
    "longtail.runs.records": """
        Environment ModelFile Preprocessing Record SplitFile TimeSpent read_json write_json
    """,
    "longtail.runtime.distributed": """
        Process SharedBatchNorm anywhere gather means of_first several share_batchnorm share_buffers
    """,
    "longtail.runtime.seeds": """
        AUGMENT BOOTSTRAP DECODE EXHIBIT NETWORK ORDER PRUNE SPLIT SUBSET
    """,
    "longtail.training.train": """
        resume train
    """,
}


@pytest.mark.parametrize("name", PUBLIC)
def test_no_public_name_is_dropped_or_added_unnoticed(name: str) -> None:
    assert public(name) == sorted(PUBLIC[name].split())
    module = importlib.import_module(name)
    assert all(hasattr(module, each) for each in public(name))


def public(name: str) -> list[str]:
    """What a package lists, or what a module defines without an underscore."""
    found: list[str] = []
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found += [each.id for target in targets if target for each in ast.walk(target) if isinstance(each, ast.Name)]
    return sorted(each for each in {*found} if not each.startswith("_"))


def test_what_has_a_page_is_what_is_public() -> None:
    if not API.is_dir():
        pytest.skip("not a checkout with documentation")
    pages = "\n".join(page.read_text(encoding="utf-8") for page in API.glob("*.md"))
    documented = re.findall(r"^(?:::: |<!-- made: api )(longtail[\w.]*)", pages, re.MULTILINE)
    assert {name.removesuffix(".Classifier") for name in documented} == {*PUBLIC}


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        (losses.logit_adjusted, ["logits", "labels", "prior", "*", "tau"]),
        (losses.smoothed_cross_entropy, ["logits", "labels", "toward", "*", "smoothing"]),
        (losses.supervised_contrastive, ["embeddings", "labels", "*", "temperature"]),
        (losses.prototypical, ["embeddings", "labels", "prototypes", "*", "temperature"]),
    ],
)
def test_losses_have_the_promised_signature(loss: Callable[..., object], parameters: list[str]) -> None:
    signature = inspect.signature(loss).parameters.values()
    shown = [p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD]
    shown += ["*", *(p.name for p in signature if p.kind is p.KEYWORD_ONLY)]
    assert shown == parameters
    assert all(p.default is p.empty for p in signature)
    assert len(shown) == len(signature) + 1


def test_package_says_its_version() -> None:
    assert longtail.__version__.count(".") == 2


def test_package_is_marked_as_typed() -> None:
    assert (files("longtail") / "py.typed").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_module_opens_with_one_sentence(name: str) -> None:
    first = (importlib.import_module(name).__doc__ or "").splitlines()[0]
    assert first.endswith("."), first
    assert ". " not in first, first


@pytest.mark.parametrize("name", MODULES)
def test_every_public_method_is_documented(name: str) -> None:
    """Those that promise nothing that a base class has promised; ruff sees to classes and functions."""
    module, bare = importlib.import_module(name), []
    for title, thing in vars(module).items():
        if title.startswith("_") or not inspect.isclass(thing) or thing.__module__ != name:
            continue
        promised = {method for base in thing.__mro__[1:] for method in vars(base)}
        methods = [each for each, value in vars(thing).items() if inspect.isfunction(value) and each not in promised]
        bare += [f"{title}.{each}" for each in methods if each[0] != "_" and not vars(thing)[each].__doc__]
    assert not bare


def test_importing_the_package_is_cheap() -> None:
    """`import longtail` and the command line load neither torch nor what brings it in."""
    heavy = {"torch", "timm", "torchvision", "sklearn", "pyarrow", "numpy"}
    program = f"import sys, longtail, longtail.cli.main; print(sorted({heavy} & {{*sys.modules}}))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
