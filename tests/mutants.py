#!/usr/bin/env python3
"""Puts the faults of tests/mutants.toml into a scratch copy and runs the fast suite on each.

    tests/mutants.py                 all of them
    tests/mutants.py ID...           these
    tests/mutants.py --sample 10     as many, drawn by the date

The fast suite is the unit tests and the in-process tests on SQLite. Faults inside functions share one build, in which an
environment variable turns one of them on (tests/switches.py), and the test that is named as the killer runs on each.
A fault elsewhere, and one that its killer did not find, is put in alone and built; if the killer passes, the whole suite
runs. Each fault gets a line: killed, killed by another test than the one named, or survived. The exit status is 1 if one
survived, did not compile, or if its killer does not exist or fails without it.
"""

import argparse
import datetime
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ElementTree

from switches import Fault, Switched

ROOT = pathlib.Path(__file__).parents[1]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
WORK = TARGET / "mutants"
TREE, BUILT = WORK / "tree", WORK / "target"
# What cargo makes of this package's own sources: never shared with the copy.
OWN = ("countersign", "libcountersign", "it-", "process-", "limits-")
# The exit statuses of nextest.
PASSED, NO_TESTS, TESTS_FAILED, TIME_LIMIT = 0, 4, 100, 124


def copy_tree():
    """Makes the copy that of the working tree now; what did not change keeps its time, so that cargo does not build it anew."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wanted = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for name in wanted:
        source, copy = ROOT / name, TREE / name
        if not copy.is_file() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
    for path in [p for p in TREE.rglob("*") if p.is_file()]:
        if str(path.relative_to(TREE)) not in wanted:
            path.unlink()


def share_dependencies():
    """Links what is built of the dependencies, where anything is, so that the first build need not repeat it."""
    if BUILT.exists():
        return
    for folder in ("deps", ".fingerprint", "build"):
        source = TARGET / "debug" / folder
        for path in source.rglob("*") if source.exists() else ():
            inside = path.relative_to(source)
            if path.is_file() and not inside.parts[0].startswith(OWN):
                copy = BUILT / "debug" / folder / inside
                copy.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, copy)


def environment_of(fault: str | None = None) -> dict[str, str]:
    """The environment of a build or a run, with this fault on."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(BUILT), "CARGO_TERM_COLOR": "never"}
    environment.pop("USAGE", None)
    return environment if fault is None else {**environment, "FAULT": fault}


def run_suite(killers: list[str] | None, seconds: int, fault: str | None = None) -> tuple[int, list[str], str]:
    """Runs the fast suite, or these tests alone; returns nextest's status, the tests that failed, and the end of the output."""
    reports = WORK / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    command = [sys.executable, str(ROOT / "tests/contained.py"), str(seconds), "cargo", "nextest", "run", "--locked", "--profile", "unit", "--status-level", "fail"]
    # Only what holds the tests is built: the unit tests stand in modules called `tests`, the others in the binary `it`.
    if killers is None or any("::tests::" in killer for killer in killers):
        command.append("--lib")
    if killers is None or any("::tests::" not in killer for killer in killers):
        command += ["--test", "it"]
    if killers is not None:
        command += ["-E", " or ".join(f"test(={killer})" for killer in killers)]
    # nextest keeps its reports below the workspace, whatever the target directory is.
    junit = TREE / "target/nextest/unit/junit.xml"
    junit.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=TREE, env=environment_of(fault), capture_output=True, text=True, check=False)
    failed = []
    if junit.exists():
        failed = [case.get("name") for case in ElementTree.parse(junit).iter("testcase") if case.find("failure") is not None or case.find("error") is not None]
    return done.returncode, failed, (done.stdout + done.stderr)[-3_000:]


def examine(mutant: dict) -> tuple[bool, str]:
    """Puts the fault in and tells whether it was found, and how."""
    file = TREE / mutant["file"]
    text = file.read_text()
    if text.count(mutant["text"]) != 1:
        return False, f"its text stands {text.count(mutant['text'])} times in {mutant['file']}"
    file.write_text(text.replace(mutant["text"], mutant["replacement"]))
    try:
        status, _, output = run_suite([mutant["killer"]], 900)
        if status == TESTS_FAILED:
            return True, f"killed by {mutant['killer']}"
        if status == TIME_LIMIT:
            return True, "killed: the tests did not end"
        if status == NO_TESTS:
            return False, f"there is no test {mutant['killer']}"
        if status != PASSED:
            return False, f"it does not build (status {status}):\n{output}"
        status, failed, output = run_suite(None, 1_800)
        if status in (TESTS_FAILED, TIME_LIMIT):
            return True, f"killed by {', '.join(failed[:3]) or 'the time limit'}, and not by {mutant['killer']}"
        return False, f"SURVIVED: {mutant['would']}" if status == PASSED else f"status {status}:\n{output}"
    finally:
        file.write_text(text)


def fault_of(mutant: dict) -> Fault:
    """Where the fault lies; a test in tests/it/architecture.rs holds that its text stands there once."""
    start = (TREE / mutant["file"]).read_text().index(mutant["text"])
    return Fault(mutant["id"], mutant["file"], start, start + len(mutant["text"]), mutant["replacement"])


def find_switched(mutants: list[dict]) -> set[str]:
    """Turns one fault on after the other; returns those that their killers have found."""
    found = set()
    for mutant in mutants:
        began = time.monotonic()
        status, _, _ = run_suite([mutant["killer"]], 300, mutant["id"])
        if status in (TESTS_FAILED, TIME_LIMIT):
            found.add(mutant["id"])
            tell(mutant, began, f"killed by {mutant['killer']}" if status == TESTS_FAILED else "killed: the tests did not end")
    return found


def tell(mutant: dict, began: float, how: str):
    """Prints what came of a fault."""
    print(f"{mutant['id']:<24} {time.monotonic() - began:5.0f} s  {how}", flush=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("ids", nargs="*", metavar="ID")
    arguments.add_argument("--sample", type=int, metavar="N")
    chosen = arguments.parse_args()
    mutants = tomllib.loads((ROOT / "tests/mutants.toml").read_text())["mutant"]
    if unknown := set(chosen.ids) - {m["id"] for m in mutants}:
        arguments.error(f"there is no {', '.join(sorted(unknown))}")
    if chosen.ids:
        mutants = [m for m in mutants if m["id"] in chosen.ids]
    if chosen.sample is not None:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        mutants = random.Random(today).sample(mutants, min(chosen.sample, len(mutants)))
    copy_tree()
    share_dependencies()
    began, switched = time.monotonic(), Switched(TREE, [fault_of(m) for m in mutants])
    try:
        # Fewer are built sooner one by one.
        if together := len(switched.faults()) > 2:
            if errors := switched.build(["--lib", "--test", "it"], environment_of()):
                print(f"the faults do not build together:\n{errors[-3_000:]}")
                return 1
        status, failed, output = run_suite(sorted({m["killer"] for m in mutants}), 3_000)
        if status != PASSED:
            print(f"without any fault the tests fail (status {status}): {', '.join(failed)}\n{output}")
            return 1
        shared = {fault.id for fault in switched.faults()} if together else set()
        print(f"{len(shared)} of {len(mutants)} faults share one build, {time.monotonic() - began:.0f} s", flush=True)
        killed = find_switched([m for m in mutants if m["id"] in shared])
    finally:
        switched.restore()
    missed, lines = 0, []
    for mutant in mutants:
        began, found = time.monotonic(), mutant["id"] in killed
        if not found:
            found, how = examine(mutant)
            tell(mutant, began, how)
        missed += not found
        lines.append(f"mutants\t{mutant['id']}\t{'passed' if found else 'failed'}\n")
    if reports := os.environ.get("REPORTS"):
        pathlib.Path(reports, "mutants.tsv").write_text("".join(lines))
    print(f"{len(mutants) - missed} of {len(mutants)} faults were found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
