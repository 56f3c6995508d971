"""The fenced blocks of the documents, with the mark that says how each of them is run.

A mark is one or more words behind the language in the line that opens a block, such as ```sh run`. A block that cannot be
run says why in a comment on the line above it, `<!-- not run: it needs root -->`. What each mark means stands in docs/tests.md.
"""

import dataclasses
import functools
import pathlib
import re

from place import ROOT

# Languages whose blocks have a mark, with the marks that they may have; the words behind the mark are its arguments.
MARKS = {
    "sh": {"run", "dev"},
    "toml": {"config"},
    "nginx": {"proxy"},
    "caddyfile": {"proxy"},
    "yaml": {"kubernetes", "compose", "parse"},
    "json": {"parse"},
    "ini": {"systemd"},
    "ts": {"types", "run", "vite"},
    "tsx": {"types"},
    "python": {"run", "compile", "backend"},
    "text": {"output"},
}

NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


@dataclasses.dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    mark: str
    arguments: tuple[str, ...]
    text: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        return f"{self.language} {self.mark}".strip()


@functools.cache
def pages() -> tuple[str, ...]:
    """The documents: README.md and everything under docs but the decisions."""
    found = [path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts]
    return tuple(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *sorted(found)])


def read(page: str) -> list[Block]:
    return parse(page, (ROOT / page).read_text())


def parse(page: str, text: str) -> list[Block]:
    blocks, lines, at = [], text.splitlines(), 0
    while at < len(lines):
        fence = re.match(r"\s*```(.*)", lines[at])
        if not fence:
            at += 1
            continue
        begin, (language, mark, *arguments) = at, [*fence[1].split(), "", ""][: max(2, len(fence[1].split()))]
        at += 1
        while not re.match(r"\s*```\s*$", lines[at]):
            at += 1
        reason = NOT_RUN.fullmatch(lines[begin - 1].strip()) if begin else None
        blocks.append(Block(page, begin + 1, language, mark, tuple(arguments), "\n".join(lines[begin + 1 : at]) + "\n", reason and reason[1]))
        at += 1
    return blocks


# Every block of every document.
ALL = [block for page in pages() for block in read(page)]
# The places of the blocks that ran, for the count at the end.
RAN: set[str] = set()


def marked(*kinds: str) -> list[Block]:
    return [block for block in ALL if block.reason is None and block.kind in kinds]


def problem(block: Block) -> str | None:
    """What is wrong with the mark of a block; `None` if it is run, or says why not."""
    if block.reason is not None:
        return "it has a mark and a reason why it is not run" if block.mark else None
    if block.mark not in MARKS.get(block.language, set()):
        known = ", ".join(f"{language} {mark}" for language, marks in MARKS.items() for mark in sorted(marks))
        return f"`{block.kind}` is no mark: write one of {known}, or `<!-- not run: reason -->` above the block"
    return None


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```\s*$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path: pathlib.Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", without_blocks(path.read_text()), re.MULTILINE)}


def broken_links(page: str) -> list[str]:
    """Links of a page to a file that does not exist, or to a heading that its file does not have."""
    here, broken = ROOT / page, []
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", without_blocks(here.read_text())):
        file, _, anchor = link.partition("#")
        to = (here.parent / file).resolve() if file else here
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to)):
            broken.append(link)
    return broken
