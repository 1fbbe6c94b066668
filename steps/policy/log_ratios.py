"""The file of the log-probabilities of a policy's own samples, see `steps.policy.divergence`."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from steps.groups.schema import read_table

LOG_RATIOS = pa.schema(
    [
        ("policy", pa.string()),
        ("group_id", pa.string()),
        ("response", pa.int32()),  # index in its group
        ("log_policy", pa.float64()),  # of the response, in nats
        ("log_reference", pa.float64()),
    ]
)


def read_log_ratios(path: Path) -> pd.DataFrame:
    """Read the log-probabilities of a policy's samples, columns `LOG_RATIOS`."""
    return read_table(path, LOG_RATIOS).to_pandas()
