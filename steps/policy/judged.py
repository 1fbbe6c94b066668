"""The file of one judge's rewards for the answers of policies."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from steps.errors import UserError
from steps.groups.schema import read_table

JUDGED = pa.schema(
    [
        ("policy", pa.string()),  # who wrote the responses, `steps.policy.names`
        ("group_id", pa.string()),
        ("response", pa.int32()),  # index in its group
        ("score", pa.float64()),
    ]
)


def read_judged(path: Path) -> pd.DataFrame:
    """Read the rewards of one judge, columns `JUDGED`."""
    judged = read_table(path, JUDGED).to_pandas()
    keys = ["policy", "group_id", "response"]
    if judged.duplicated(keys).any():
        row = int(judged.duplicated(keys).to_numpy().argmax())
        raise UserError(f"{path}: row {row}: this response is judged twice; judge them again")
    return judged
