"""Methods: ways to learn, one module each, owning all that is trained."""

from longtail.methods.base import Method, Step
from longtail.methods.hybrid import HybridPSC, HybridSC
from longtail.methods.joint import LogitAdjustmentPSC
from longtail.methods.plain import CrossEntropy, LogitAdjustment

__all__ = ["CrossEntropy", "HybridPSC", "HybridSC", "LogitAdjustment", "LogitAdjustmentPSC", "Method", "Step"]
