"""The log of a training: numbers in `metrics.jsonl` and, if wanted, in TensorBoard."""

from typing import Any

from longtail.metrics import Summary
from longtail.runs.folder import RunDir

_MEASURES = (
    "top1",
    "top5",
    "balanced_accuracy",
    "macro_f1",
    "many",
    "medium",
    "few",
    "worst_class_recall",
    "ece",
    "nll",
)


class Journal:
    """Writes the log of a run, or goes on with it.

    Args:
        run: its folder.
        start: the first step that will be done. What an earlier process has logged of it and of later ones is taken
            out.
        tensorboard: write for TensorBoard too.
    """

    def __init__(self, run: RunDir, start: int, *, tensorboard: bool) -> None:
        self._run, self._writer = run, None
        run.rewind_log(start)
        if tensorboard:
            from torch.utils.tensorboard.writer import SummaryWriter  # a second of import

            self._writer = SummaryWriter(str(run.tensorboard), purge_step=start + 1)

    def write(self, record: dict[str, Any]) -> None:
        """Add a line: numbers by name, among them `step`, the number of steps done."""
        self._run.log(record)
        for name, value in record.items():
            if self._writer is not None and name not in ("step", "split") and value is not None:
                self._writer.add_scalar(name, value, record["step"])

    def measured(self, step: int, epoch: int, split: str, summary: Summary) -> None:
        """Add a line of what was measured on a split after so many steps: the figures for the whole, not per class."""
        figures = {name: getattr(summary, name) for name in _MEASURES}
        self.write({"step": step, "epoch": epoch, "split": split, **figures})

    def close(self) -> None:
        """Finish what TensorBoard has not written yet."""
        if self._writer is not None:
            self._writer.close()
