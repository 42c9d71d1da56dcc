"""Draw what a command prints as an SVG picture.

Usage: python docs/tools/picture.py docs/assets/demo.svg longtail demo
"""

import re
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

# Fonts are not fetched from the network: whoever looks has a monospaced one.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main() -> None:
    """Run the command and write the picture; what it says on standard error is left out."""
    target, *command = sys.argv[1:]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = [f"$ {shlex.join(command)}", *said.rstrip().splitlines()]
    console = Console(record=True, width=max(map(len, lines)) + 2, file=StringIO())
    console.print(Text("\n".join(lines)))
    Path(target).write_text(console.export_svg(title=shlex.join(command), code_format=FORMAT, unique_id="picture"))


if __name__ == "__main__":
    main()
