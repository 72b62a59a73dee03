"""Build the documentation site: `python docs/build_site.py OUT`; the pages are in OUT/site.

The site consists of the pages in `docs/`, the command reference generated from `--help`, the model cards, and the
repository's other documents. Links between them are rewritten; a broken link is an error.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from docs import command_pages, site_check

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
OUTSIDE = {
    ROOT / "README.md": None,
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "SECURITY.md": "security.md",
    ROOT / "evenmood/default_model/README.md": "models/fast.md",
    ROOT / "evenmood/accurate_model/README.md": "models/accurate.md",
}
"""Page of the site for each document outside `docs/`; index.md replaces README."""
SITE = "https://evenmood.github.io/evenmood/docs/"
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def main() -> None:
    """Copy and generate the pages, build the site, and check it."""
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/build_site.py OUT")
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(out, ignore_errors=True)
    stage(out / "docs")
    shutil.copy(ROOT / "mkdocs.yml", out)
    result = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=out,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # the docstrings of this checkout
        check=False,
    )
    config = (out / "mkdocs.yml").read_text(encoding="utf-8")
    problems = [*site_check.nav_problems(config, out / "docs"), *site_check.problems(out / "site")]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(result.returncode or (1 if problems else 0))


def stage(out: Path) -> None:
    """Write all pages of the site as Markdown, with their images."""
    shutil.copytree(DOCS, out, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    pages = {path: path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages |= {path: page for path, page in OUTSIDE.items() if page}
    for source, page in pages.items():
        text = FRONT_MATTER.sub("", source.read_text(encoding="utf-8"))
        target = out / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(rewrite_links(text, source, target, out), encoding="utf-8")
    for page, text in command_pages.pages().items():
        (out / "reference" / page).write_text(text, encoding="utf-8")


def rewrite_links(text: str, source: Path, target: Path, out: Path) -> str:
    """Rewrite the links of a page for its location on the site."""

    def replace(match: re.Match[str]) -> str:
        before, link, anchor, after = match.groups()
        if link.startswith(SITE):  # a generated page, which does not exist on GitHub
            page = out / link.removeprefix(SITE).replace(".html", ".md")
            return f"{before}{Path(os.path.relpath(page, target.parent)).as_posix()}{anchor or ''}{after}"
        if re.match(r"[a-z]+:", link):
            return match[0]
        return f"{before}{_site_path(source, link, target, out)}{anchor or ''}{after}"

    return LINK.sub(replace, text)


def _site_path(source: Path, link: str, target: Path, out: Path) -> str:
    """Return the relative path of a linked file on the site; copy it if it is an image outside `docs/`."""
    linked_file = (source.parent / link).resolve()
    if linked_file in OUTSIDE:
        path = out / (OUTSIDE[linked_file] or "index.md")
    elif linked_file.is_relative_to(DOCS):
        path = out / linked_file.relative_to(DOCS)
    elif linked_file.suffix == ".png" and linked_file.is_file():
        path = target.with_suffix("") / linked_file.name
        path.parent.mkdir(exist_ok=True)
        shutil.copy(linked_file, path)
    else:
        sys.exit(f"error: {source.relative_to(ROOT)} links to {link}, which is not on the site")
    return Path(os.path.relpath(path, target.parent)).as_posix()


if __name__ == "__main__":
    main()
