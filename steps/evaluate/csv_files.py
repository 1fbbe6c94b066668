"""Tables as CSV files."""

from pathlib import Path

import pandas as pd


def write_csv_files(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    """Write tables by file name into a folder; numbers have six significant digits."""
    for name, table in tables.items():
        table.to_csv(folder / name, index=False, float_format="%.6g", lineterminator="\n")
