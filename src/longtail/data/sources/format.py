"""Data formats: how files of one kind are recognised and read; a reader module defines its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from longtail.data.source import Part
from longtail.data.sources.images import Images
from longtail.data.sources.records import Records


@dataclass(frozen=True)
class Request:
    """Files of one format, and what the user has set about reading them.

    Args:
        path: the file or folder that the user named.
        files: what is to be read, each with the part of the split that it is, `None` if it is not one; none where the
            format reads the folder itself.
        root: where relative paths of images start; `None`: where the file that names them is.
        label_column, group_column: columns that the user has named.
    """

    path: Path
    files: Sequence[tuple[Path, Part | None]] = ()
    root: Path | None = None
    label_column: str | None = None
    group_column: str | None = None

    @property
    def paths(self) -> list[Path]:
        """The files without their parts."""
        return [file for file, _ in self.files]


@dataclass(frozen=True, eq=False)
class Format:
    """One format of custom data; `FORMATS` lists all.

    Args:
        name: of the setting `data.form`.
        title: for people.
        recognise: whether a file (or the folder, without `endings`) names images and classes in this format; the second
            argument is the column of the class where the user has named it. Looks no further than it must.
        read: the images with their labels, splits and groups; raises ValueError with file and line.
        images: the images alone, one for each row, with or without labels.
        endings: of its files, in lower case; none for a format that is a folder.
        titles: by ending, where that says more than `title`.
        has_columns: whether the user may name columns.
        family: of formats with one reader, whose files may be the parts of one split; `None`: it is alone.
    """

    name: str
    title: str
    recognise: Callable[[Path, str | None], bool]
    read: Callable[[Request], Records]
    images: Callable[[Request], Images]
    endings: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    has_columns: bool = False
    family: str | None = None

    def is_like(self, other: "Format") -> bool:
        """Whether files of both can be read as one."""
        return (self.family or self.name) == (other.family or other.name)

    def title_of(self, file: Path) -> str:
        """For people, after the ending of a file."""
        return self.titles.get(file.suffix.lower(), self.title)
