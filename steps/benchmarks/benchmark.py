"""What a benchmark declares: where its rows come from, its subsets and its scores."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from steps.benchmarks.numbers import Number
from steps.groups.schema import PromptGroup


@dataclass(frozen=True)
class Subset:
    """One subset as it is published.

    Attributes:
        section: what it is averaged into.
        rows: how many the publisher has.
        correct, responses: how many each row has; None where it varies.
        core: False for a set that the benchmark's own repository does not hold.
    """

    section: str
    rows: int
    correct: int | None = 1
    responses: int | None = 2
    core: bool = True


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: on the command line; also the `source` of its groups.
        hub_id, split, columns: what the download step fetches.
        optional: columns that a file of one's own may lack.
        revision: the commit that the counts are known of; None = the main branch, recorded.
        group: makes the group of a row; gets its place for errors too. Right responses come first.
        means: the means that the numbers are made of, from the items: columns `MEANS`.
        numbers: what is reported, in order, from the names of the subsets that have items.
        headline: those of them that a table shows first.
    """

    name: str
    title: str
    hub_id: str
    split: str
    columns: tuple[str, ...]
    revision: str | None
    subsets: dict[str, Subset]
    group: Callable[[dict, str], PromptGroup]
    means: Callable[[pd.DataFrame], pd.DataFrame]
    numbers: Callable[[set[str]], list[Number]]
    headline: tuple[str, ...]
    optional: tuple[str, ...] = ()
