"""Pages: one HTML file each, which loads nothing from anywhere, in light and dark."""

import base64
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import longtail
from longtail.text import percent, percentage_points


def render(section: str, *, title: str, style: str | None = None, script: str | None = None, **content: Any) -> str:
    """A page around a section.

    A browser is told to load nothing, and to run nothing but the script.

    Args:
        section: the template of what is on the page.
        title: of the page.
        style: the template of styles that only this page needs.
        script: the file of the script on it; `None`: it has none.
        content: what the templates want to know; `data` for the script, anything that JSON holds.
    """
    environment = Environment(
        loader=PackageLoader("longtail.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": percentage_points}
    code = Markup(environment.get_template(script).render()) if script else None  # noqa: S704  (ours)
    return environment.get_template("page.html").render(
        section=section,
        title=title,
        style=style,
        script=code,
        allowed_script=f"'sha256-{_digest(code)}'" if code else "'none'",
        version=longtail.__version__,
        **content,
    )


def data_url(webp: bytes) -> str:
    """An image as an address that holds it.

    >>> data_url(b"RIFF")
    'data:image/webp;base64,UklGRg=='
    """
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
