"""How Sphinx makes a site of these pages (``make docs``). The pages themselves are written for GitHub.

Nothing of the site is loaded from elsewhere. Pictures in Mermaid are shown as their text: drawing them takes a
script of 3 MB (docs/decisions/0023-a-site-of-the-pages-as-they-are.md).
"""

import re

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "kecs-state"
html_title = project
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_theme = "furo"
extensions = ["myst_parser"]
#: As GitHub makes them, so that links to headings work on both.
myst_heading_anchors = 4
exclude_patterns = ["runs"]

_SECTION = re.compile(r"^## (?P<title>.+)\n(?P<text>(?:(?!## ).*\n)*)", re.MULTILINE)
_PAGE = re.compile(r"\]\((?P<page>[\w/-]+)\.md\)")


def setup(app: Sphinx) -> None:
    """Sphinx's own hook."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", _add_contents)


def _add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """The sidebar is the index's own lists; decisions are listed by their files."""
    if name == "index":
        source[0] += "".join(
            _contents([found["page"] for found in _PAGE.finditer(section["text"])], caption=section["title"])
            for section in _SECTION.finditer(source[0])
        )
    elif name == "decisions/README":
        source[0] += _contents(["[0-9]*"], glob="")


def _contents(pages: list[str], **options: str) -> str:
    said = "".join(f":{option}: {value}\n" for option, value in options.items())
    hidden = "" if "glob" in options else ":hidden:\n"
    return "\n```{toctree}\n" + said + hidden + "\n" + "\n".join(pages) + "\n```\n"
