"""Reading CSV files so that a damaged line is named instead of read as something else."""

import csv
import io
import math
from pathlib import Path

import pandas as pd

from steps.errors import UserError
from steps.files import make_again

TEXT_COLUMNS = {"method", "reference", "eval_set", "metric", "number", "note"}
TEXT_COLUMNS |= {"policy", "opponent", "judge"}


def read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV file that must have ``columns``; all but `TEXT_COLUMNS` hold numbers or nothing.

    Raises:
        UserError: naming the file, and the column that is missing or the line that is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is not there; {make_again(path)}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a whole CSV file ({error}); {make_again(path)}") from None
    _check_lines(path, text, columns)
    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])


def _check_lines(path: Path, text: str, columns: list[str]) -> None:
    lines = csv.reader(io.StringIO(text), strict=True)
    again = make_again(path)
    try:
        header = next(lines, [])
        for column in columns:
            if column not in header:
                raise UserError(f"{path}: the column '{column}' is missing; {again}")
        for line in lines:
            place = f"{path}: line {lines.line_num}"
            if len(line) != len(header):
                raise UserError(f"{place} has {len(line)} fields instead of {len(header)}; {again}")
            _check_numbers(place, dict(zip(header, line, strict=True)), columns, again)
    except csv.Error as error:
        raise UserError(f"{path}: line {lines.line_num} is damaged ({error}); {again}") from None
    # Every line has an end; a number that was cut off would still look like one.
    if not text.endswith("\n"):
        raise UserError(f"{path}: line {lines.line_num} is cut off; {again}")


def _check_numbers(place: str, line: dict[str, str], columns: list[str], again: str) -> None:
    for column in columns:
        field = line[column]
        if column not in TEXT_COLUMNS and field and not _is_number(field):
            raise UserError(f"{place}: '{field}' in the column '{column}' is no number; {again}")


def _is_number(field: str) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False
