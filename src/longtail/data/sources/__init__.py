"""Sources: where labelled images come from."""

from longtail.data.source import Listing, Pixels, Source, fingerprint
from longtail.data.sources.forms import Form
from longtail.data.sources.hub import read_parquet
from longtail.data.sources.images import Images
from longtail.data.sources.named import NAMES, Name, Split, cache_folder, load
from longtail.data.sources.own import describe, read, unlabelled

__all__ = [
    "NAMES",
    "Form",
    "Images",
    "Listing",
    "Name",
    "Pixels",
    "Source",
    "Split",
    "cache_folder",
    "describe",
    "fingerprint",
    "load",
    "read",
    "read_parquet",
    "unlabelled",
]
