"""Chooses the most frequent passwords of at least eight characters from a list in order of frequency, and writes them gzipped to standard output.

In lower case and NFC, each once, sorted by bytes, one a line.
"""

import gzip
import pathlib
import sys
import unicodedata

COUNT, SHORTEST = 100_000, 8

chosen: dict[str, None] = {}
for line in pathlib.Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace").split("\n"):
    password = unicodedata.normalize("NFC", line.rstrip("\r")).lower()
    if len(password) >= SHORTEST and "\ufffd" not in password and password.isprintable():
        chosen[password] = None
    if len(chosen) == COUNT:
        break
text = "".join(f"{password}\n" for password in sorted(chosen, key=str.encode))
# Without a time stamp, so that the same list gives the same file.
sys.stdout.buffer.write(gzip.compress(text.encode(), compresslevel=9, mtime=0))
