"""Records: path, label, part and groups of each image as they were read, and how they become a listing."""

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
from jaxtyping import Int

from longtail.data.source import PARTS, Listing, Part
from longtail.data.sources.columns import GROUPS
from longtail.data.sources.images import Images, labelled, subset
from longtail.text import first_few, printable, quantity


@dataclass(frozen=True)
class Records:
    """One record an image, as it was read.

    Args:
        images: N images.
        labels: `(N,)` text, null where there is none.
        where: the file or folder of the records, for messages.
        place: where record `i` stands: "birds.csv line 7".
        parts: `(N,)` positions in `PARTS`, -1 for none; `None` if no split is given.
        groups: by name, `(N,)` text, null where there is none.
        class_names: all classes in the order of their numbers, where the file gives it; else they are sorted.
        notes: for people.
    """

    images: Images
    labels: pyarrow.Array
    where: Path
    place: Callable[[int], str]
    parts: Int[np.ndarray, " images"] | None = None
    groups: Mapping[str, pyarrow.Array] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def listing(records: Records, form: str) -> Listing:
    """Number the classes and groups, and leave out what has no label or is listed twice, with a note.

    Names of classes lose the blanks around them and are put into Unicode's composed form (NFC), in which files of
    different systems agree. Classes are sorted by name, or by number where all names are whole numbers.

    Args:
        records: at least one.
        form: the detected format, for people.
    Raises: ValueError if no image has a label.
    """
    numbers, found, notes = _classes(records)
    kept = np.flatnonzero(numbers >= 0)
    if len(kept) < len(numbers):
        notes.append(_passed_over(records, numbers < 0, "without a label"))
    twice = _repeated(records, numbers, kept)
    if twice.any():
        notes.append(_passed_over(records, twice, "listed again with the same label and split"))
        kept = kept[~twice[kept]]
    present, labels = np.unique(numbers[kept], return_inverse=True)
    if len(present) == 0:
        raise ValueError(f"{records.where} has no image with a label")
    if len(present) < len(found):
        absent = [found[c] for c in np.setdiff1d(np.arange(len(found)), present)]
        notes.append(f"{quantity(len(absent), 'class')} without an image left out: {first_few(absent)}")
    groups = _groups(records.groups)
    images = records.images if len(kept) == len(numbers) else subset(records.images, kept)
    return Listing(
        labelled(images, labels.astype(np.int64), [found[c] for c in present]),
        form,
        None if records.parts is None else records.parts[kept],
        {name: group[kept] for name, group in groups.items()},
        (*records.notes, *notes),
    )


def clean(name: str) -> str:
    r"""The name of a class without blanks around it, in Unicode's composed form.

    >>> clean(" cafe\u0301 ")
    'café'
    """
    return unicodedata.normalize("NFC", name).strip()


def in_order(names: Collection[str]) -> list[str]:
    """Sorted by name, or by number where all names are whole numbers, since 10 comes after 9.

    >>> in_order({"10", "9"}), in_order({"10", "9", "a"})
    (['9', '10'], ['10', '9', 'a'])
    """
    if is_numbers(names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def is_numbers(names: Collection[str]) -> bool:
    """Whether all names are whole numbers.

    >>> is_numbers(["0", "-1"]), is_numbers(["1.5"])
    (True, False)
    """
    return all(name.isascii() and name.removeprefix("-").isdigit() for name in names)


def numbered(texts: pyarrow.Array) -> Int[np.ndarray, " images"]:
    """Numbers of equal texts, by first appearance; -1 for null.

    >>> numbered(pyarrow.array(["b", None, "a", "b"])).tolist()
    [0, -1, 1, 0]
    """
    return texts.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def part_numbers(parts: Sequence[Part | None], lengths: Sequence[int]) -> Int[np.ndarray, " images"] | None:
    """The part of each image by its file: positions in `PARTS`, -1 for none; `None` if no file is a part.

    Args:
        parts: that the files are, if they are any.
        lengths: images in each file.

    >>> part_numbers(["test", None], [2, 1]).tolist()
    [2, 2, -1]
    """
    if not any(parts):
        return None
    return np.repeat([PARTS.index(part) if part else -1 for part in parts], lengths).astype(np.int64)


def _classes(records: Records) -> tuple[Int[np.ndarray, " images"], list[str], list[str]]:
    """Number of the class of each image, -1 for none; names of the classes; notes."""
    encoded = records.labels.dictionary_encode()
    written = encoded.dictionary.to_pylist()
    cleaned = [clean(name) for name in written]
    names = in_order({*cleaned} - {""}) if records.class_names is None else list(map(clean, records.class_names))
    number = {name: i for i, name in enumerate(names)}
    # One more at the end, which -1 reaches: no label.
    table = np.array([*(number.get(name, -1) for name in cleaned), -1], dtype=np.int64)
    numbers = table[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    notes = []
    variants: dict[str, list[str]] = {}
    for name, tidy in zip(written, cleaned, strict=True):
        variants.setdefault(tidy, []).append(name)
    same = [names for tidy, names in variants.items() if tidy and len(names) > 1]
    if same:  # in ASCII, since an accent looks the same however it is composed
        examples = "; ".join(" and ".join(map(ascii, names)) for names in same[:3])
        notes.append(f"{quantity(len(same), 'class')} written in several ways and read as one: {examples}")
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    similar = [names for names in folded.values() if len(names) > 1]
    if similar:
        examples = "; ".join(" and ".join(map(printable, names)) for names in similar[:3])
        notes.append(f"classes that differ only in capitals are read as different: {examples}")
    return numbers, names, notes


def _groups(texts: Mapping[str, pyarrow.Array]) -> dict[str, Int[np.ndarray, " images"]]:
    """Numbers of groups, widest first; sequences of the same name at different locations are different ones."""
    groups = {name: numbered(texts[name]) for name in GROUPS if name in texts}
    if "sequence" in groups and "location" in groups:
        sequence, location = groups["sequence"], groups["location"]
        _, both = np.unique(sequence * (location.max() + 2) + location + 1, return_inverse=True)
        groups["sequence"] = np.where(sequence < 0, -1, both).astype(np.int64)
    return {name: group for name, group in groups.items() if (group >= 0).any()}


def _repeated(records: Records, numbers: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Which images are listed again, with the same label and part."""
    names = numbered(records.images.ids.encoded)
    parts = 0 if records.parts is None else records.parts + 1
    keys = (names * (numbers.max(initial=0) + 1) + numbers) * (len(PARTS) + 1) + parts
    _, first = np.unique(keys[kept], return_index=True)
    repeated = np.zeros(len(numbers), bool)
    repeated[kept] = True
    repeated[kept[first]] = False
    return repeated


def _passed_over(records: Records, which: np.ndarray, why: str) -> str:
    rows = np.flatnonzero(which)
    return f"passed over {quantity(len(rows), 'image')} {why} (the first: {printable(records.place(int(rows[0])))})"
