"""The lines of a loan file as bytes of UTF-8, however the file is packed and encoded.

A line is a physical line: the file quotes no line breaks, so a quote left open is an
error of its own line rather than of the rest of the file.
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from ingestion.errors import DataError

HINT = "nothing was loaded; correct the file and run the command again"
CSV_HINT = "save it as CSV, in UTF-8, and load that file"

_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
# What people take for the loan file, by its first bytes.
_OTHER_FORMATS = {
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF document",
    b"7z\xbc\xaf": "a 7z archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"SQLite format 3": "a SQLite database",
}
_UTF_16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"p\0": "utf-16-le", b"\0p": "utf-16-be"}
_PEEK_BYTES = 64 * 1024


MAX_MESSAGE_LENGTH = 200


class BadLineError(DataError):
    """A line that cannot be loaded; ``reason`` is the same for all lines of its kind."""

    def __init__(self, path: Path, line: int, what: str, reason: str, hint: str = HINT) -> None:
        message = f"{path}, line {line}: {what}"
        if len(message) > MAX_MESSAGE_LENGTH:
            message = f"{path.name[-60:]}, line {line}: {what}"
        if len(message) > MAX_MESSAGE_LENGTH:
            message = message[: MAX_MESSAGE_LENGTH - 1] + "…"
        super().__init__(message, hint)
        self.reason = reason


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the file's lines, without their ends.

    A zip archive with one CSV file, gzip, UTF-16, a byte order mark, and lines that end
    with LF, CR LF or CR are understood.

    Raises:
        DataError: the file cannot be read, or is none of that: then it says what it is.
    """
    try:
        with _unpacked(path) as packed:
            yield from _lines(path, io.BufferedReader(packed, _PEEK_BYTES))
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a damaged archive: {error}", "download it again") from None
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}", "check the path given to --csv"
        ) from None


@contextmanager
def _unpacked(path: Path) -> Iterator[io.RawIOBase]:
    with path.open("rb") as file:
        first = file.read(16)
    if first.startswith(_ZIP):
        with zipfile.ZipFile(path) as archive, archive.open(_csv_member(path, archive)) as member:
            yield cast(io.RawIOBase, member)
    elif first.startswith(_GZIP):
        with gzip.open(path) as member:
            yield cast(io.RawIOBase, member)
    else:
        for magic, name in _OTHER_FORMATS.items():
            if first.startswith(magic):
                raise DataError(f"{path} is {name}, not CSV", CSV_HINT)
        with path.open("rb", buffering=0) as file:
            yield file


def _csv_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    if any(member.filename == "xl/workbook.xml" for member in members):
        raise DataError(f"{path} is an Excel workbook, not CSV", CSV_HINT)
    found = [member for member in members if member.filename.lower().endswith(".csv")]
    if len(found) != 1:
        names = ", ".join(member.filename for member in (found or members)[:5])
        raise DataError(
            f"{path} is a zip archive with {len(found)} CSV files, not one ({names})"[:190],
            "unpack it, and load the one file that you mean",
        )
    if found[0].flag_bits & 1:
        raise DataError(f"{path} is a zip archive with a password", "unpack it first")
    return found[0]


def _lines(path: Path, file: io.BufferedReader) -> Iterator[bytes]:
    first = file.peek(_PEEK_BYTES)
    if encoding := _UTF_16.get(first[:2]):
        yield from _lines_of_utf_16(path, file, encoding)
        return
    if b"\0" in first.partition(b"\n")[0]:
        raise DataError(f"{path} is not a text file", CSV_HINT)
    if first.startswith(b"\xef\xbb\xbf"):
        file.read(3)
    ends_with_cr = b"\r" in first and b"\n" not in first
    for line in _split_at_cr(file) if ends_with_cr else file:
        yield line.rstrip(b"\r\n")


def _lines_of_utf_16(path: Path, file: io.BufferedReader, encoding: str) -> Iterator[bytes]:
    text = io.TextIOWrapper(file, encoding)  # every kind of line end
    try:
        for line in text:
            yield line.rstrip("\n").removeprefix("\ufeff").encode()
    except UnicodeError:
        raise DataError(f"{path} begins like UTF-16 and is not", CSV_HINT) from None


def _split_at_cr(file: io.BufferedReader) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(_PEEK_BYTES):
        *lines, rest = (rest + chunk).split(b"\r")
        yield from lines
    if rest:
        yield rest
