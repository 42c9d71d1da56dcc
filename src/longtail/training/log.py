"""The log of a training: numbers in `metrics.jsonl` and, if wanted, in TensorBoard."""

from typing import Any

from torch import Tensor

from longtail.metrics import Summary
from longtail.runs.folder import RunDir
from longtail.runtime import distributed


class Log:
    """Writes the log of a run, or goes on with it.

    Args:
        run: its folder; `None` writes nothing, as all processes but the first do.
        start: the first step that will be done. What an earlier process has logged of it and of later ones is taken
            out.
        tensorboard: write for TensorBoard too.
    """

    def __init__(self, run: RunDir | None, start: int, *, tensorboard: bool) -> None:
        self._run, self._writer = run, None
        if run is None:
            return
        run.rewind_log(start)
        if tensorboard:
            from torch.utils.tensorboard.writer import SummaryWriter  # a second of import

            self._writer = SummaryWriter(str(run.tensorboard), purge_step=start + 1)

    def write(self, record: dict[str, Any]) -> None:
        """Add a line: numbers by name, among them `step`, the number of steps done."""
        if self._run is None:
            return
        self._run.log(record)
        for name, value in record.items():
            if self._writer is not None and name not in ("step", "split") and value is not None:
                self._writer.add_scalar(name, value, record["step"])

    def step(self, done: int, epoch: int, rate: float, terms: dict[str, Tensor], *, seconds: float) -> None:
        """Add a line about a step; every process must call it.

        Args:
            done: steps.
            epoch: of the step.
            rate: learning rate.
            terms: the loss and its terms in this process, of which the mean over all processes is logged.
            seconds: of training up to now.
        """
        means = distributed.means(terms)
        self.write({"step": done, "epoch": epoch, "lr": rate, **means, "seconds": seconds})

    def evaluated(self, done: int, epoch: int, split: str, summary: Summary) -> None:
        """Add a line about an evaluation after so many steps: figures for the whole split, not per class."""
        self.write({"step": done, "epoch": epoch, "split": split, **summary.figures})

    def close(self) -> None:
        """Finish what TensorBoard has not written yet."""
        if self._writer is not None:
            self._writer.close()
