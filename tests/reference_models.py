"""Made-up scores of a reward model of others."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from steps.groups.schema import PromptGroup
from steps.score.schema import Origin, rewards_schema, with_left_out


def write_rewards(
    path: Path, groups: list[PromptGroup], cut: int = 0, left_out: dict[str, str] | None = None
) -> None:
    """Write rewards of 1 for right and 0 for wrong responses, the first ``cut`` as truncated.

    Args:
        left_out: groups without rewards, and why.
    """
    left_out = left_out or {}
    rows = [
        {"group_id": g.group_id, "response": k, "reward": float(r.correct is True), "n_tokens": 5}
        for g in groups
        if g.group_id not in left_out
        for k, r in enumerate(g.responses)
    ]
    rows = [row | {"truncated": place < cut} for place, row in enumerate(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = with_left_out(rewards_schema(False, Origin("other", "hash")), left_out)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
