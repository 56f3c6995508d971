"""Puts many faults into one copy of the sources, each behind a switch, so that one build is enough for all of them.

The body of a function with faults is written down once for each of them and once as it is; the environment variable
FAULT says which one runs. A fault outside a function (a constant, a macro) cannot be switched, and one that does not
compile beside the others is left out.
"""

import dataclasses
import json
import pathlib
import re
import subprocess

SWITCH = """
#[doc(hidden)]
pub mod fault {
    //! Which fault is on.
    static ON: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();

    /// Tells whether it is this one.
    pub fn is_on(id: &str) -> bool {
        ON.get_or_init(|| std::env::var("FAULT").ok()).as_deref() == Some(id)
    }
}
"""

# What is no code: comments, strings, characters. A lifetime is none of them.
NO_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(?P<hash>\#*)".*?"(?P=hash)|b?"(?:\\.|[^"\\])*"|b?'(?:\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])'""",
    re.DOTALL,
)
FUNCTION = re.compile(r"(?P<const>\bconst\s+)?(?:\basync\s+)?\bfn\s+\w+")


@dataclasses.dataclass(frozen=True)
class Fault:
    """A piece of a file, by its offsets, and what stands there instead."""

    id: str
    file: str
    start: int
    end: int
    replacement: str


def bodies(text: str) -> list[tuple[int, int]]:
    """Returns where the bodies of functions that are not constant lie, without their braces."""
    code = NO_CODE.sub(lambda found: " " * len(found.group()), text)
    found = []
    for function in FUNCTION.finditer(code):
        depth, at = 0, function.end()
        while at < len(code) and not (depth == 0 and code[at] in "{;"):
            depth += (code[at] in "([") - (code[at] in ")]")
            at += 1
        if at >= len(code) or code[at] == ";" or function["const"]:
            continue
        begin, depth = at + 1, 1
        while depth:
            at += 1
            depth += (code[at] == "{") - (code[at] == "}")
        found.append((begin, at))
    return found


class Switched:
    """A copy of the sources with switches."""

    def __init__(self, tree: pathlib.Path, faults: list[Fault]):
        """Takes every fault that lies in a function of its own; `left_out` names the others."""
        self.tree = tree
        self.texts = {file: (tree / file).read_text() for file in {"src/lib.rs"} | {f.file for f in faults}}
        self.places: dict[tuple[str, int, int], list[Fault]] = {}
        self.left_out: list[str] = []
        all_bodies = {file: bodies(text) for file, text in self.texts.items()}
        for fault in faults:
            around = [b for b in all_bodies[fault.file] if b[0] <= fault.start and fault.end <= b[1]]
            inner = min(around, key=lambda b: b[1] - b[0], default=None)
            overlaps = inner and any(file == fault.file and (begin, end) != inner and begin <= inner[1] and inner[0] <= end for file, begin, end in self.places)
            if inner is None or overlaps:
                self.left_out.append(fault.id)
            else:
                self.places.setdefault((fault.file, *inner), []).append(fault)

    def write(self):
        """Writes the copy; `lines` says for each file which lines belong to which faults."""
        self.lines: dict[str, list[tuple[int, int, list[str]]]] = {}
        for file, text in self.texts.items():
            out, at, lines = [], 0, []
            for (_, begin, end), faults in sorted((place, faults) for place, faults in self.places.items() if place[0] == file):
                out.append(text[at:begin])
                first = "".join(out).count("\n") + 1
                for fault in faults:
                    body = text[begin : fault.start] + fault.replacement + text[fault.end : end]
                    before = "".join(out).count("\n") + 1
                    # A comment may end the body.
                    out.append(f' if crate::fault::is_on("{fault.id}") {{{body}\n}} else ')
                    lines.append((before, "".join(out).count("\n") + 1, [fault.id]))
                out.append(f"{{{text[begin:end]}\n}} ")
                lines.append((first, "".join(out).count("\n") + 1, [fault.id for fault in faults]))
                at = end
            out.append(text[at:])
            if file == "src/lib.rs":
                out.append(SWITCH)
            (self.tree / file).write_text("".join(out))
            self.lines[file] = lines

    def restore(self):
        """Writes the sources as they were."""
        for file, text in self.texts.items():
            (self.tree / file).write_text(text)

    def build(self, arguments: list[str], environment: dict[str, str], rounds: int = 8) -> str | None:
        """Builds the tests, leaving out what does not compile; returns the errors if it cannot."""
        errors = ""
        for _ in range(rounds):
            self.write()
            command = ["cargo", "test", "--no-run", "--locked", "--message-format", "json", *arguments]
            done = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return None
            reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            messages = [r["message"] for r in reports if r["reason"] == "compiler-message" and r["message"]["level"] == "error"]
            errors = "\n".join(m["rendered"] for m in messages) or done.stderr
            bad = set().union(*(self.blamed(span) for m in messages for span in m["spans"] if span["is_primary"]))
            if not bad:
                return errors
            self.leave_out(bad)
        return errors

    def blamed(self, span: dict) -> set[str]:
        """The faults of the smallest piece around an error, or around the macro call that it came from."""
        while span:
            around = [(last - first, ids) for first, last, ids in self.lines.get(span["file_name"], []) if first <= span["line_start"] <= last]
            if around:
                return set(min(around)[1])
            span = (span["expansion"] or {}).get("span")
        return set()

    def leave_out(self, ids: set[str]):
        """Takes these faults out."""
        self.left_out += sorted(ids)
        kept = {place: [f for f in faults if f.id not in ids] for place, faults in self.places.items()}
        self.places = {place: faults for place, faults in kept.items() if faults}

    def faults(self) -> list[Fault]:
        """Those that have a switch."""
        return [fault for faults in self.places.values() for fault in faults]
