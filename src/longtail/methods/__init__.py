"""Methods: ways to learn, one module each, owning all that is trained."""

from longtail.methods.base import Method, Step
from longtail.methods.classification import CrossEntropy, LogitAdjustment
from longtail.methods.hybrid import HybridPSC, HybridSC

__all__ = ["CrossEntropy", "HybridPSC", "HybridSC", "LogitAdjustment", "Method", "Step"]
