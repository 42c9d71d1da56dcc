"""The frame of all pages: it loads nothing, and runs nothing but its own script."""

import base64
import hashlib
import html as entities
import re

from longtail.report import html


def test_only_the_script_of_the_page_is_allowed():
    section = "charts.html"  # which defines macros and writes nothing
    page = html.render(section, title="a <b> title", subtitle="", script="report.js", data={"x": "</script>"})
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in entities.unescape(page)
    assert "a &lt;b&gt; title" in page
    assert '</script>"' not in page
    without = html.render(section, title="", subtitle="")
    assert "script-src 'none'" in entities.unescape(without)
    assert "<script" not in without
