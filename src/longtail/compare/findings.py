"""What a comparison says, in sentences, and how to read them."""

from longtail.compare.results import Comparison
from longtail.metrics import significance, table
from longtail.metrics.significance import LEVEL, Pair
from longtail.text import p_value, quantity


def findings(found: Comparison) -> list[str]:
    """A sentence a pair: of top-1, and of the mean over classes where that is another."""
    wanted = ["top1"] if found.even else ["top1", "balanced_accuracy"]
    return [finding(found, pair) for metric in wanted for pair in found.pairs if pair.metric == metric]


def finding(found: Comparison, pair: Pair) -> str:
    """What the tests of one pair say."""
    metric = next(each for each in table.METRICS if each.key == pair.metric)
    start = (
        f"{pair.one} against {pair.other}: {metric.title} {metric.difference_in_words(pair.difference)} points, "
        f"95 % interval {metric.differences_in_words(pair.interval)}, p {p_value(pair.corrected)}: "
    )
    ahead = (pair.difference > 0) != (metric.better == "lower")
    better, worse = (pair.one, pair.other) if ahead else (pair.other, pair.one)
    if pair.significant:
        return f"{start}significant; {better} was better"
    if pair.seeds and pair.images and pair.images.p < LEVEL <= pair.seeds.p:
        return f"{start}not significant; these trainings differ, but too unevenly from seed to seed to tell of others"
    if pair.p < LEVEL:
        pairs = sum(each.metric == pair.metric for each in found.pairs)
        return f"{start}not significant among {pairs} pairs, but would be as the only one"
    equal = f"{pair.one} and {pair.other} were equally good" if not pair.difference else f"{worse} was as good"
    seeds, images = quantity(len(found.seeds), "seed"), quantity(found.images, "image")
    return f"{start}not significant; {equal}, as far as {seeds} and {images} can tell"


def notes(found: Comparison) -> list[str]:
    """How to read the findings, and what they cannot say."""
    count, pairs = len(found.seeds), len({(pair.one, pair.other) for pair in found.pairs})
    images = f"other {found.split} images would say (paired bootstrap over {quantity(found.images, 'image')})"
    if count < 3:
        few = "One seed" if count == 1 else "Two seeds"
        few += " of each: too few to say whether other trainings would differ likewise."
        lines = [f"{few} Intervals and p only say what {images}."]
    else:
        times = significance.detectable(count)
        power = f"a difference must be {times:.1f} times as large as its own standard deviation"
        both = f"what other seeds would say (paired t-test of {count} seeds) and what {images}"
        lines = [
            f"Intervals and p are the more cautious of {both}.",
            f"With {count} seeds, {power} between seeds to count. A smaller one may be real and stay unseen.",
        ]
    if pairs > 1:
        lines.append(f"p is corrected for {pairs} pairs (Holm); intervals are not. Significant: p below {LEVEL}.")
    return lines
