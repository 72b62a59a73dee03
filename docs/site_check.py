"""Check a built site: all pages are in the navigation, no link is broken, and nothing is loaded from other hosts."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
"""Elements that load a resource, with the attribute that names it."""
LINKS = ("canonical", "next", "prev")
"""Relations of `link` elements that load nothing."""


class _Page(HTMLParser):
    """Links, loaded resources and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect anchors, links and loaded resources."""
        values = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := values.get(name))}
        if tag == "a" and (link := values.get("href")):
            self.links.append(link)
        if tag in LOADED and values.get("rel") not in LINKS and (source := values.get(LOADED[tag])):
            self.loaded.append(source)


def problems(site: Path) -> Iterator[str]:
    """Yield the problems of a site, one line each."""
    pages = {path: _Page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name} loads {source}" for source in page.loaded if _is_external(source))
        for link in [*page.links, *page.loaded]:
            if _is_external(link) or name.name == "404.html":  # its links are relative to the root of the server
                continue
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{name} links to {link}, which does not exist"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name} links to {link}, which has no such anchor"


def nav_problems(config: str, docs: Path) -> Iterator[str]:
    """Yield pages missing from the navigation, and navigation entries without a page."""
    listed = re.findall(r": ([\w/-]+\.md)$", config.partition("\nnav:")[2], re.MULTILINE)
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    yield from (f"mkdocs.yml: {page} is not in nav" for page in sorted(pages - set(listed)))
    yield from (f"mkdocs.yml: nav names {page}, which does not exist" for page in listed if page not in pages)


def _is_external(link: str) -> bool:
    return bool(re.match(r"[a-z]+:|//", link)) and not link.startswith("data:")
