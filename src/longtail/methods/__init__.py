"""Methods: ways to learn, one module each, owning all that is trained."""

from longtail.methods.base import Method, Step
from longtail.methods.classification import CrossEntropy, LogitAdjustment
from longtail.methods.hybrid import HybridPSC, HybridSC
from longtail.methods.logit_adjustment_psc import LogitAdjustmentPSC

__all__ = ["CrossEntropy", "HybridPSC", "HybridSC", "LogitAdjustment", "LogitAdjustmentPSC", "Method", "Step"]
