"""Sources: where labelled images come from."""

from longtail.data.source import Listing, Pixels, Source, fingerprint
from longtail.data.sources.builtin import NAMES, Name, Split, cache_folder, load
from longtail.data.sources.custom import describe, read, unlabelled
from longtail.data.sources.format import Format
from longtail.data.sources.hf_parquet import read_parquet
from longtail.data.sources.images import Images

__all__ = [
    "NAMES",
    "Format",
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
