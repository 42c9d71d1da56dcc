"""How the figures of a run came about, in a sentence."""

from longtail.report.run import Run
from longtail.text import duration, quantity, split_title


def protocol(run: Run) -> str:
    """How the figures came about, in a sentence.

    Comparisons are worth nothing if one run took its best epoch and the other its last.
    """
    s, counts = run.summary, [each.train_count for each in run.summary.per_class]
    epochs = run.settings.epochs
    last = f"last epoch of {epochs:,}" if epochs > 1 else "one epoch"
    if run.settings.budget is not None:
        last = f"end of a schedule of {quantity(epochs, 'epoch')}, cut to {duration(run.settings.budget)}"
    if run.settings.ema is not None:
        last += f", weights averaged over time ({run.settings.ema:g})"
    measured = f"{split_title(run.record.split)} split of {quantity(s.images, 'image')}"
    absent = s.classes - s.classes_measured
    unmeasured = f", {absent:,} of them without an image there" if absent else ""
    return (
        f"{last[0].upper()}{last[1:]}, one seed ({run.settings.seed}), {measured}. "
        f"Trained on {quantity(sum(counts), 'image')} of {quantity(s.classes, 'class', 'classes')}{unmeasured}, "
        f"{max(counts):,} to {min(counts):,} a class."
    )
