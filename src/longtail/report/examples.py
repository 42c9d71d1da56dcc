"""Images as examples on a page: thumbnail, true and predicted class, confidence."""

from dataclasses import dataclass

from longtail.report import html
from longtail.report.run import Run


@dataclass(frozen=True)
class Example:
    """One image.

    Args:
        thumbnail: its address, which holds it; `None` if the run kept none.
        true: its class.
        predicted: the predicted class.
        confidence: probability of that, in words.
        name: by which it is found again.
    """

    thumbnail: str | None
    true: str
    predicted: str
    confidence: str
    name: str

    @property
    def words(self) -> str:
        """What a reader who does not see the thumbnail has to know."""
        return self.true if self.true == self.predicted else f"{self.true}, predicted as {self.predicted}"


def example(run: Run, row: int) -> Example:
    """The image of a row of the predictions."""
    file, names = run.thumbnails.get(row), run.class_names
    return Example(
        html.data_url(file) if file else None,
        names[run.labels[row]],
        names[run.predicted[row]],
        confidence(100 * float(run.confidences[row])),
        run.ids[row],
    )


def confidence(percent: float) -> str:
    """A probability in words; never 100 %, of which no network can be sure.

    >>> confidence(0.123), confidence(45.6), confidence(99.8), confidence(100.0)
    ('0.1 %', '46 %', '99.80 %', '99.99 %')
    """
    if percent < 1:
        return f"{percent:.1f} %"
    return f"{percent:.0f} %" if percent < 99.5 else f"{min(percent, 99.99):.2f} %"
