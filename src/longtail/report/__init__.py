"""Pages about runs and data, from files alone: neither data nor networks are needed."""

from longtail.report.difference import Verdicts
from longtail.report.page import MOST, render
from longtail.report.write import write_pages

__all__ = ["MOST", "Verdicts", "render", "write_pages"]
