"""What the terminal shows of a loan file: its bad lines, and what was rounded."""

from collections import Counter

from ingestion.errors import DataError
from ingestion.progress import out
from ingestion.source.csv_file import HINT, BadLineError
from ingestion.source.csv_loader import LoanFile

FIRST = 20


def check_file(file: LoanFile) -> None:
    """Print the first bad lines and how many there are of each kind; load nothing.

    Raises:
        DataError: a line is bad, there is none, or the file cannot be read at all.
    """
    good, bad, kinds = 0, 0, Counter[str]()
    for line in file.lines():
        if isinstance(line, BadLineError):
            bad += 1
            kinds[line.reason] += 1
            if bad <= FIRST:
                out.print(line.message, markup=False, highlight=False, soft_wrap=True)
        else:
            good += 1
    for reason, count in kinds.most_common():
        out.print(f"{count:>9,} x {reason}", markup=False, highlight=False, soft_wrap=True)
    report_rounded(file)
    if bad:
        raise DataError(f"{file.path}: {bad:,} of {good + bad:,} lines cannot be loaded", HINT)
    if not good:
        raise DataError(f"{file.path} holds a header and no rows", HINT)
    out.print(f"{good:,} rows can be loaded")


def report_rounded(file: LoanFile) -> None:
    """Say of how many values the float noise was rounded off, by column."""
    for column, count in file.rounded.most_common():
        out.print(f"rounded {count:,} values of {column}: float noise such as 0.49000000000000005")
