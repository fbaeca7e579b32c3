"""For mkdocs: the documents outside docs/ become pages, and the files that documents link to are part of the site."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples.md",
}
LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?(\))")


def place(path):
    """Where in the site a file of the repository is."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PAGES.get(path) or PAGES.get(f"{path}/README.md") or f"source/{path}"


def links(markdown, path):
    """The files of the repository that the document at `path` links to."""
    return [posixpath.normpath(posixpath.join(posixpath.dirname(path), m[2])) for m in LINK.finditer(markdown)]


def moved(markdown, path):
    """The document at `path` of the repository, with links for where it is in the site."""
    here = posixpath.dirname(place(path))

    def link(match):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        if (ROOT / target).is_dir() and (ROOT / target / "index.md").is_file():
            target += "/index.md"
        return match[1] + posixpath.relpath(place(target), here or ".") + (match[3] or "") + match[4]

    return LINK.sub(link, markdown)


def on_files(files, config):
    documents = [*PAGES, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    for path in PAGES:
        files.append(
            File.generated(config, PAGES[path], content=moved((ROOT / path).read_text(encoding="utf-8"), path))
        )
    for path in documents:
        for target in links((ROOT / path).read_text(encoding="utf-8"), path):
            uri = place(target)
            if uri.startswith("source/") and (ROOT / target).is_file() and files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown, page, config, files):
    if page.file.src_uri in PAGES.values():
        return markdown  # its links are right already
    return moved(markdown, f"docs/{page.file.src_uri}")
