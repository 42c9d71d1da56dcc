"""Sources: where labelled images come from."""

from longtail.data.source import Listing, Pixels, Source, fingerprint
from longtail.data.sources.hub import read_parquet
from longtail.data.sources.named import NAMES, Name, Split, cache_folder, load

__all__ = [
    "NAMES",
    "Listing",
    "Name",
    "Pixels",
    "Source",
    "Split",
    "cache_folder",
    "fingerprint",
    "load",
    "read_parquet",
]
