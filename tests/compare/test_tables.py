"""A comparison as tables."""

import csv
import json

import pytest

from longtail.compare import findings, tables
from support.comparisons import compare, results


def test_one_method_has_a_table_and_no_findings() -> None:
    found = compare(results("a", [0.5, 0.6]))
    assert not found.pairs and not findings.findings(found)
    assert tables.means(found)[1][0][:2] == ["a", "55.0 ± 7.1"]
    assert tables.to_markdown(found, ["Seeds: 0."]).count("|") > 10


def test_it_is_written_as_json_csv_and_markdown() -> None:
    found = compare(results("a|b", [0.5, 0.51, 0.52]), results("c", [0.7, 0.7, 0.7]))
    read = json.loads(json.dumps(tables.to_dict(found), allow_nan=False))
    assert read["seeds"] == [0, 1, 2] and read["images"] == 400
    top1 = read["methods"]["c"]["metrics"]["top1"]
    assert (top1["mean"], top1["sd"], top1["values"]) == (pytest.approx(0.7), pytest.approx(0), [0.7] * 3)
    assert read["pairs"][0]["significant"] is True
    assert read["findings"] == findings.findings(found)
    rows = list(csv.DictReader(tables.to_csv(found).splitlines()))
    assert {row["recipe"] for row in rows} == {"a|b", "c"}
    assert float(rows[0]["mean"]) == pytest.approx(0.51)
    page = tables.to_markdown(found, ["Seeds: 0, 1, 2."])
    assert page.startswith("# Comparison\n\n- Seeds: 0, 1, 2.\n\n| recipe | top-1 |")
    assert "| a\\|b | 51.0 ± 1.0 |" in page
    lines = [line for line in page.replace("\\|", "").splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {len(tables.means(found)[0]) + 1, 7}
