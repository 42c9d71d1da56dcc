"""Image classifiers that also get the rare classes right."""

__version__ = "0.1.0"
