"""Coverage of the Cython files as coverage.py's data, from what gcc's counters counted in the C files made of them.

Cython can call coverage.py at every line itself. Those calls run Python code between two lines that count on nothing
else running there (a node is pushed onto the tape), and threads then corrupt the tape. Counters call nobody; they count
without the GIL, in any process and directory, and in the headers too. Run it in the tree that was built with
TAPEGRAD_BUILD=coverage.
"""

import json
import re
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

from coverage import CoverageData

ROOT = Path.cwd()
SOURCE = re.compile(r'\s*/\* "(.*\.p(?:yx|xd))":(\d+)$')  # above the C of a line: which file and line it is of
LINE = re.compile(r"\s*__Pyx_TraceLine\((\d+),")  # where the C of a statement begins
JUMP = re.compile(r"\s*(?:goto \w+;|\w+:;)$|\}")  # from here on it is not the same stretch of code


def counted() -> tuple[dict[str, Counter[int]], Counter[str]]:
    """How often each line ran of each C file and header of ours, and how often each function."""
    lines: dict[str, Counter[int]] = defaultdict(Counter)
    functions: Counter[str] = Counter()
    for data in sorted((ROOT / "build").rglob("*.gcda")):
        command = ["gcov", "--json-format", "--stdout", str(data)]
        report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        for file in report["files"]:
            if file["file"].startswith("csrc/"):
                for line in file["lines"]:
                    lines[file["file"]][line["line_number"]] += line["count"]
                for function in file["functions"]:
                    functions[function["name"]] += function["execution_count"]
    return lines, functions


def executed(c_file: Path, counts: Counter[int]) -> dict[str, Counter[int]]:
    """How often each line of the Cython files ran: as often as the first line of its C that has a counter."""
    ran: dict[str, Counter[int]] = defaultdict(Counter)
    source, header = "", 0
    statements = set()
    pending: set[tuple[str, int]] = set()  # begun, and no counter yet: `try:` has none of its own
    for number, text in enumerate(c_file.read_text().splitlines(), 1):
        if match := SOURCE.match(text):
            source, header = match[1], int(match[2])
        elif match := LINE.match(text):
            pending.add((source, int(match[1])))
            statements |= pending
        elif number in counts:
            if text.startswith("static ") and text.endswith("{"):  # a function: its own line begins nothing
                pending = {(source, header)}
            for file, line in pending:
                ran[file][line] += counts[number]
            pending = set()
        elif JUMP.match(text):
            pending = set()
    return {file: Counter({line: ran[file][line] for line in ran[file] if (file, line) in statements}) for file in ran}


def main() -> None:
    lines, functions = counted()
    data = CoverageData(".coverage.cython")
    for c_file in sorted((ROOT / "csrc").rglob("*.c")):
        for source, ran in executed(c_file, lines[str(c_file.relative_to(ROOT))]).items():
            if covered := [line for line, count in ran.items() if count]:
                path = str(ROOT / "csrc" / source)
                data.add_lines({path: covered})
                data.add_file_tracers({path: "Cython.Coverage.Plugin"})
    data.write()
    for header in sorted(file for file in lines if file.endswith(".h")):
        missed = [line for line, count in sorted(lines[header].items()) if not count]
        print(f"{header}: {len(lines[header])} lines with code, {len(missed)} not run: {missed}")
    for kind in ("plain", "avx2"):
        kernels = {name: count for name, count in functions.items() if re.match(rf"[kv]_[A-Z].*_{kind}$", name)}
        missed = sorted(name for name, count in kernels.items() if not count)
        names = " ".join(missed) if len(missed) < 50 else "..."
        print(f"{kind} kernels: {len(kernels)}, {len(missed)} not run: {names}")


if __name__ == "__main__":
    main()
