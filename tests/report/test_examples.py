"""One image as an example."""

from longtail.report.examples import example


def test_an_example_is_a_row_of_the_predictions(read):
    row = read.examples.mistakes[0]
    found = example(read, row)
    assert found.name == read.ids[row]
    assert found.words == f"class {read.labels[row]:04}, predicted as class {read.predicted[row]:04}"
    right = next(row for row in range(len(read.ids)) if read.labels[row] == read.predicted[row])
    assert example(read, right).words == f"class {read.labels[right]:04}"
