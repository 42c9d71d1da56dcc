"""Metrics: predictions and training counts in, a frozen `Summary` out."""

from longtail.metrics.calibration import Bin, expected_calibration_error, fit_temperature, reliability
from longtail.metrics.intervals import Interval, bootstrap, wilson
from longtail.metrics.per_class import confusion, macro_f1, recalls
from longtail.metrics.scores import negative_log_likelihood, softmax, top_k_accuracy
from longtail.metrics.summary import ClassResult, Summary, summarise
from longtail.metrics.table import METRICS, Metric
from longtail.metrics.tally import Outcomes

__all__ = [
    "METRICS",
    "Bin",
    "ClassResult",
    "Interval",
    "Metric",
    "Outcomes",
    "Summary",
    "bootstrap",
    "confusion",
    "expected_calibration_error",
    "fit_temperature",
    "macro_f1",
    "negative_log_likelihood",
    "recalls",
    "reliability",
    "softmax",
    "summarise",
    "top_k_accuracy",
    "wilson",
]
