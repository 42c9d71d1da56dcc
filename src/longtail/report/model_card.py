"""The model card: what a run is for, of what it was made, and how far to trust it, as the Hugging Face Hub has it."""

import math
from datetime import timedelta
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from longtail import recipe
from longtail.metrics import ClassResult, Metric, Summary, table, wilson
from longtail.recipe import Recipe
from longtail.runs import records
from longtail.runs.folder import RunDir
from longtail.runs.records import ModelFile, SplitFile
from longtail.text import percent, percent_interval, printable, quantity

_WORST = 10  # classes that are shown
_NAMED = 20  # classes that are listed by their names
_FEW = 5  # test images below which little is known of a class
_TITLES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "digits": "scikit-learn's handwritten digits",
    "inaturalist2018": "iNaturalist 2018",
}
_ON_THE_HUB = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}


def render(run: RunDir) -> str:
    """Write the card of a finished run, from the files in its folder alone.

    Args:
        run: finished.
    Returns: Markdown, with the front matter by which the Hub finds and lists models.
    Raises: ValueError if a file is missing or damaged.
    """
    settings, summary = recipe.load(str(run.recipe)), run.read_summary()
    split, environment = SplitFile.read(run.split), records.Environment.read(run.environment)
    measured: str = split.split
    engine = Environment(  # noqa: S701  (Markdown, in which `plain` disarms names)
        loader=PackageLoader("longtail.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.globals |= {"count": quantity, "percent": percent, "between": percent_interval, "plain": plain}
    body = engine.get_template("card.md").render(
        title=_title(settings),
        recipe=settings,
        environment=environment,
        summary=summary,
        split=measured,
        results=_results(summary),
        columns=[metric for metric in table.METRICS if metric.overview],
        worst=summary.worst(_WORST),
        others=[(name.removeprefix("data-"), run.read_summary(split=name)) for name in run.others()],
        limits=_limits(summary, measured, ModelFile.read(run.model)),
        data=_data(settings, summary, split),
        training=_training(run, settings, environment),
    )
    return f"---\n{_front(settings, summary, measured).to_yaml()}\n---\n\n{body}\n"


def plain(text: str) -> str:
    r"""Text that Markdown leaves as it is, on one line.

    >>> print(plain("a|b *c* <d>"))
    a\|b \*c\* \<d\>
    """
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>|#~&" else letter for letter in printable(text))


def _title(settings: Recipe) -> str:
    what = f"{settings.name}, seed {settings.seed}"
    return plain(f"{_dataset(settings)} ({what})" if settings.data.name == "own" else what)


def _dataset(settings: Recipe) -> str:
    """The data's name; of somebody's own that of the folder or file, without where it is."""
    return _TITLES.get(settings.data.name) or Path(settings.data.path or "").name or "own images"


def _front(settings: Recipe, summary: Summary, split: str) -> ModelCardData:
    """What the Hub reads. It says nothing of a licence: that is for whoever owns the images and the weights."""
    hub = _ON_THE_HUB.get(settings.data.name)
    values = [
        ("accuracy", "Top-1 accuracy", summary.top1),
        ("accuracy", "Balanced accuracy (mean recall)", summary.balanced_accuracy),
        ("f1", "Macro F1", summary.macro_f1),
        *(
            ("accuracy", f"{group.capitalize()}-shot accuracy (mean recall)", getattr(summary, group))
            for group in summary.group_classes
        ),
    ]
    results = [
        EvalResult(
            task_type="image-classification",
            task_name="Image classification",
            dataset_type=hub or ("imagefolder" if settings.data.name == "own" else settings.data.name),
            dataset_name=_dataset(settings),
            dataset_split=split,
            metric_type=kind,
            metric_name=name,
            metric_value=round(value, 6),
        )
        for kind, name, value in values
        if value is not None
    ]
    return ModelCardData(
        model_name=f"{settings.name} (seed {settings.seed})",
        library_name="longtail",
        pipeline_tag="image-classification",
        tags=["longtail", "long-tailed-recognition", "class-imbalance"],
        datasets=[hub] if hub else None,
        metrics=["accuracy", "f1"],
        eval_results=results,
    )


def _results(summary: Summary) -> list[tuple[str, str, str, str]]:
    rows = []
    for metric in table.METRICS:
        value = summary.figures[metric.key]
        if value is not None:
            interval = metric.interval_in_words(summary.intervals[metric.key])
            rows.append((metric.title, metric.value_in_words(value), interval, _note(metric, summary)))
    return rows


def _note(metric: Metric, summary: Summary) -> str:
    words = summary.meaning(metric)
    if metric.key == "worst_class_recall":
        return f"{words}: {plain(summary.worst_class)}"
    if metric.key == "ece_calibrated":
        return f"{words}: logits divided by {summary.temperature:.2f}, as `longtail predict` does"
    if len(metric.groups) == 1:
        return f"{words}: {quantity(summary.group_classes[metric.groups[0]], 'class')}"
    return words


def _limits(summary: Summary, split: str, model: ModelFile) -> list[str]:
    s, limits = summary, list[str]()
    scarce = [each for each in s.per_class if 0 < each.test_count < _FEW]
    if scarce:
        most = max(each.test_count for each in scarce)
        low, high = wilson(most - 1, most) or (0.0, 1.0)
        limits.append(
            f"{_share(scarce, s)} fewer than {_FEW} {split} images. Their recall is not known well: {most - 1} of "
            f"{most} recognised means between {100 * low:.0f} and {100 * high:.0f} %."
        )
    unmeasured = [each for each in s.per_class if not each.test_count]
    if unmeasured:
        limits.append(
            f"{_share(unmeasured, s)} no {split} image. Nothing is known of how well they are recognised: "
            f"{_listed(unmeasured)}."
        )
    unseen = [each for each in s.per_class if not each.train_count]
    if unseen:
        limits.append(f"{_share(unseen, s)} no training image and cannot be recognised: {_listed(unseen)}.")
    missed = [each for each in s.per_class if each.recall == 0]
    if missed:
        limits.append(f"Not one image was recognised of {quantity(len(missed), 'class')}: {_listed(missed)}.")
    if s.head_tail_gap is not None and s.head_tail_gap > 0:
        limits.append(
            f"Rare classes are recognised less well than frequent ones: {percent(s.few)} of the images of a few-shot "
            f"class, {percent(s.many)} of a many-shot class, on average."
        )
    if split == "validation":
        limits.append(
            "Results are those of validation images. Whoever has chosen settings by them must expect less elsewhere."
        )
    if model.temperature is None:
        limits.append(
            f"Probabilities are as the network gives them, and off by {percent(s.ece)} on average: no validation "
            "images were held out to correct them."
        )
    if model.prior is not None:
        limits.append(
            "Probabilities assume that classes are as frequent as where it learnt. Where they are not, say how "
            "frequent they are: `longtail predict --prior`."
        )
    limits.append(
        f"The {split} images were taken as the training images were. Other cameras, places, people or times may be "
        "harder; measure before you rely on it."
    )
    limits.append("These are the figures of one training. Another seed gives others.")
    return limits


def _data(settings: Recipe, summary: Summary, split: SplitFile) -> list[str]:
    data, counts = settings.data, split.counts
    present = [each for each in counts if each]
    ratio = max(present) / min(present)
    groups = ", ".join(f"{number:,} {group}" for group, number in summary.group_classes.items())
    lines = [
        f"{plain(_dataset(settings))}: {quantity(sum(counts), 'training image')} in {quantity(len(counts), 'class')}.",
        f"The most frequent class has {max(counts):,}, the rarest {min(counts):,}"
        + (f": {ratio:,.0f} to 1." if min(counts) else f"; the rarest with any, {min(present):,}: {ratio:,.0f} to 1."),
        f"Classes by training images: {groups}.",
    ]
    if data.profile_used != "natural":
        lines.append(
            f"Made unequal on purpose: {data.profile_used} profile, imbalance {data.imbalance:g}, seed {data.seed}."
        )
    held = {"validation": len(split.validation), "test": len(split.test)}
    if any(held.values()):
        parts = " and ".join(f"{number:,} for {part}" for part, number in held.items() if number)
        lines.append(f"Held out of these images: {parts} (seed {data.seed}).")
    if split.unreadable:
        lines.append(
            f"Left out, since they cannot be read: {quantity(len(split.unreadable), 'image')}, in `quarantine.csv`."
        )
    return lines + [f"{plain(note)}." for note in split.notes]


def _mirrored(network: recipe.Network) -> str:
    mirrored = isinstance(network, recipe.Airbench) and network.mirrored
    return ", mirrored: it cannot tell an image from its mirror image" if mirrored else ""


def _training(run: RunDir, settings: Recipe, environment: records.Environment) -> list[tuple[str, str]]:
    network, versions = settings.network, environment.libraries
    seconds = [record["seconds"] for record in run.read_log() if "seconds" in record]
    place = environment.gpu if environment.device != "cpu" and environment.gpu else environment.processor
    resumed = len(environment.resumed)
    return [
        ("method", f"`{settings.method.kind}`"),
        ("network", f"`{recipe.network_name(network)}`{_mirrored(network)}"),
        ("epochs, batch", f"{settings.epochs:,}, {settings.batch_size:,}"),
        ("seed", str(settings.seed)),
        ("precision", environment.precision or settings.precision),
        ("time", str(timedelta(seconds=math.ceil(seconds[-1]))) if seconds else "not known"),
        (
            "machine",
            (f"{plain(place)}, {quantity(environment.cores or 1, 'core')}, {quantity(environment.devices, 'process')}"),
        ),
        ("started", environment.started + (f", resumed {quantity(resumed, 'time')}" if resumed else "")),
        ("longtail", f"{environment.longtail}, commit {environment.commit or 'not known'}"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def _share(some: list[ClassResult], summary: Summary) -> str:
    verb = "has" if len(some) == 1 else "have"
    return f"{len(some):,} of {quantity(summary.classes, 'class')} {verb}"


def _listed(some: list[ClassResult]) -> str:
    names = ", ".join(plain(each.name) for each in some[:_NAMED])
    return names + (f" and {len(some) - _NAMED:,} more" if len(some) > _NAMED else "")
