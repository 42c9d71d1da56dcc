"""Format detection: which format data has, when that is unclear, and how a format is added."""

import tomllib
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from longtail import recipe
from longtail.data import sources
from longtail.data.audit.audit import audit
from longtail.data.sources import detect
from longtail.data.sources.format import Format, Request
from longtail.data.sources.images import Images, file_names, found
from longtail.data.sources.records import Records
from longtail.runs import custom_data
from support.fake_datasets import encode, picture
from support.messages import one_line

PNG = encode(picture(0, seed=0, height=8, width=8))


def folder(root: Path, *, parts: tuple[str, ...] = ("",)) -> Path:
    """An image folder of two classes."""
    for part in parts:
        for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
            file = root / part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(PNG)
    return root


MANIFEST = "path,label\ncat/1.png,x\ndog/1.png,y\n"


@pytest.mark.parametrize(
    ("name", "content", "form", "words"),
    [
        ("birds.csv", MANIFEST, "table", "CSV manifest (birds.csv)"),
        ("metadata.tsv", MANIFEST.replace(",", "\t"), "table", "TSV manifest (metadata.tsv)"),
        ("birds_train.txt", "cat/1.png 0\ndog/1.png 1\n", "list", "list of paths and class numbers (birds_train.txt)"),
        (
            "birds.json",
            '{"images": [], "annotations": [], "categories": []}',
            "inaturalist",
            "iNaturalist JSON (birds.json)",
        ),
    ],
)
def test_a_folder_that_is_two_things_is_refused(tmp_path: Path, name: str, content: str, form: Any, words: str) -> None:
    folder(tmp_path)
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="can be read as") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path, f"as {words} or as image folder", f"data.form={form} or data.form=folder")
    assert sources.read(tmp_path, form="folder").source.class_names == ("cat", "dog")
    if form != "inaturalist":
        assert len(sources.read(tmp_path, form=form).source.labels) == 2


def test_files_that_name_no_images_and_classes_do_not_stand_in_the_way(tmp_path: Path) -> None:
    folder(tmp_path)
    for name, content in {
        "notes.csv": "when,what\n1,2\n",
        "captions.csv": "path,caption\ncat/1.png,x\n",
        "broken.csv": 'foto,"label\n',
        "README.txt": "cats and dogs\n",
        "classes.txt": "cat\ndog\n",
        "settings.json": "{",
        ".birds.csv": MANIFEST,
        "latin.txt": "Häher",
        "empty.jsonl": "",
    }.items():
        (tmp_path / name).write_text(content, encoding="latin-1")
    pyarrow.parquet.write_table(pyarrow.table({"path": ["cat/1.png"]}), tmp_path / "predictions.parquet")
    assert sources.read(tmp_path).form == "image folder"


def test_images_and_a_manifest_that_are_one_thing(tmp_path: Path) -> None:
    """Folders that are no classes: one folder of images, or a part of a split without classes."""
    for name in ("images", "train"):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "1.png").write_bytes(PNG)
        (tmp_path / name / "labels.csv").write_text(f"path,label\n{name}/1.png,x\n2.png,y\n", encoding="utf-8")
        listing = sources.read(tmp_path / name)
        assert listing.form == "CSV manifest (labels.csv)" and listing.source.class_names == ("x", "y")


def test_a_form_that_it_has_not(tmp_path: Path) -> None:
    folder(tmp_path)
    for form in ("table", "hub", "list", "inaturalist", "coco"):
        with pytest.raises(
            ValueError, match=f"cannot be read with data.form={form}; it could be image folder"
        ) as error:
            sources.read(tmp_path, form=form)
        one_line(error, tmp_path)
    (tmp_path / "birds.csv").write_text(MANIFEST, encoding="utf-8")
    with pytest.raises(ValueError, match="it could be CSV manifest") as error:
        sources.read(tmp_path / "birds.csv", form="list")
    one_line(error, tmp_path / "birds.csv", "(table)")


def test_what_can_be_read_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "birds.xlsx").touch()
    with pytest.raises(ValueError, match="no data that can be read") as error:
        sources.read(tmp_path / "birds.xlsx")
    one_line(error, tmp_path / "birds.xlsx", "a folder", ".csv", ".txt")
    with pytest.raises(ValueError, match="holds no image files") as error:
        sources.read(tmp_path)
    one_line(error, tmp_path)
    with pytest.raises(FileNotFoundError) as missing:
        sources.read(tmp_path / "no such")
    one_line(missing, tmp_path / "no such", "does not exist")


def test_the_format_must_have_a_name_that_is_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.form is 'xml'") as error:
        sources.read(folder(tmp_path), form="xml")
    one_line(error, "allowed: hub, table", "or folder")


def test_parts_with_and_without_locations_are_one_split(tmp_path: Path) -> None:
    folder(tmp_path)
    image = '"images": [{"id": 1, "file_name": "cat/1.png"%s}]'
    rest = '"annotations": [{"image_id": 1, "category_id": 2}], "categories": [{"id": 2, "name": "cat"}]'
    for part, more in (("train", ', "location": 5'), ("test", "")):
        (tmp_path / f"{part}.json").write_text(f"{{{image % more}, {rest}}}", encoding="utf-8")
    listing = sources.read(tmp_path, form="coco")
    assert listing.form == "COCO Camera Traps JSON (test.json, train.json)" and len(listing.source.labels) == 2


# --- a format of your own: its module, and its place in FORMATS -------------------------------------------------------


def read_toml(request: Request) -> Records:
    """A TOML file with a list of paths for each class: `heron = ["1.png", "2.png"]`."""
    (file,) = request.paths
    images_of = tomllib.loads(file.read_text(encoding="utf-8"))
    names = [name for names in images_of.values() for name in names]
    labels = [label for label, names in images_of.items() for _ in names]
    images, notes = found(request.path, request.root or file.parent, file_names(names))
    return Records(images, pyarrow.array(labels), request.path, lambda i: f"{file}: {images.ids[i]}", notes=notes)


def toml_images(request: Request) -> Images:
    return read_toml(request).images


TOML = Format(
    name="toml",
    title="TOML of classes",
    recognise=lambda file, _: b"[" in file.read_bytes(),
    read=read_toml,
    images=toml_images,
    endings=(".toml",),
)


def test_a_new_format_is_its_module_and_a_place_in_the_tuple(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "FORMATS", (*detect.FORMATS, TOML))
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes(encode(picture(i % 2, seed=i, height=16, width=16)))
    herons, wrens = ([f"{i}.png" for i in range(first, 12, 2)] for first in (0, 1))
    file = tmp_path / "birds.toml"
    file.write_text(f"heron = {herons}\nwren = {wrens}\n", encoding="utf-8")
    # As `longtail audit` reads a folder, whose format is detected; and the setting takes the new name.
    listing = custom_data.read(recipe.Data(name="own", path=str(tmp_path)))
    audited = audit(listing)
    assert audited.form == "TOML of classes (birds.toml)" and audited.classes == {"heron": 6, "wren": 6}
    assert custom_data.read(recipe.Data(name="own", path=str(file), form="toml")).form == "TOML of classes"
    assert list(sources.unlabelled(file).ids) == [*herons, *wrens]
