"""Image classifiers that also get the rare classes right."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longtail.classifier import Classifier

__all__ = ["Classifier", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import what is large when it is asked for: `import longtail` alone stays quick."""
    if name == "Classifier":
        from longtail.classifier import Classifier

        return Classifier
    raise AttributeError(f"module 'longtail' has no attribute {name!r}")
