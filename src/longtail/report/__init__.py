"""Report: one or more runs as one page, from their folders alone: neither data nor networks are needed."""

from longtail.report.page import MOST, page
from longtail.report.write import write_pages

__all__ = ["MOST", "page", "write_pages"]
