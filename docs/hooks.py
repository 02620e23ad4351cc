"""What the site does beside MkDocs: pages outside docs/, formulas, outputs of the library page."""

import html
import json
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# Pages that stand beside their subject in the repository, and where the site has them.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "benchmarks/RESULTS.md": "RESULTS.md",
}
LINK = re.compile(r"(\]\()(?!https?:|#)([^)#\s]+)")
# A link that shows the name of a file, as one reads it beside the files.
NAMED = re.compile(r"\[([\w-]+\.md)\](?=\(\1)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# Reports that `make pictures` left; a site without them has their pictures alone.
REPORTS = ROOT / "results/gallery"
PICTURE = re.compile(r"!\[[^\]]*\]\(gallery/([\w-]+)\.png\)")
BLOCK = re.compile(r"^```python\n.*?^```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for source, page in OUTSIDE.items():
        content = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=content))
    for page in REPORTS.glob("*.html"):
        files.append(
            File.generated(config, f"gallery/{page.name}", content=page.read_text("utf-8"))
        )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between files of the repository become links between pages of the site."""
    uri = page.file.src_uri
    homes = {place: source for source, place in OUTSIDE.items()}
    source = homes.get(uri, f"docs/{uri}")

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        place = OUTSIDE.get(target, target.removeprefix("docs/"))
        return found[1] + ("index.md" if place in ("README.md", ".", "docs") else place)

    def title(found: re.Match[str]) -> str:
        target = ROOT / posixpath.dirname(source) / found[1]
        first = target.read_text(encoding="utf-8").split("\n", 1)[0]
        return f"[{first.removeprefix('# ')}]"

    def page_behind(found: re.Match[str]) -> str:
        there = (REPORTS / f"{found[1]}.html").exists()
        return f"[{found[0]}](gallery/{found[1]}.html)" if there else found[0]

    markdown = LINK.sub(link, NAMED.sub(title, markdown))
    markdown = PICTURE.sub(page_behind, markdown)
    return with_outputs(markdown) if uri == "library.md" else markdown


def with_outputs(markdown: str) -> str:
    """The page with what the notebook of the same code printed, below each block."""
    notebook = json.loads((ROOT / "docs/library.ipynb").read_text(encoding="utf-8"))
    cells = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")

    def block(found: re.Match[str]) -> str:
        said = "".join("".join(output["text"]) for output in next(cells)["outputs"])
        return f"{found[0]}\n\nprints\n\n```text\n{said}```" if said else found[0]

    return BLOCK.sub(block, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw without a script."""

    def formula(found: re.Match[str]) -> str:
        display = "inline" if found[1] == "span" else "block"
        return convert(html.unescape(found[2]).strip(), display=display)

    return FORMULA.sub(formula, content)
