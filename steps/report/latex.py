"""The main table as a LaTeX tabular (package booktabs), to be read with ``\\input``."""

from itertools import groupby

from steps.report.main_table import MISSING, ONE_RUN, Cell, MainTable

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MISSING: "--",
    ONE_RUN: r"$^\dagger$",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_SHORT = {
    "pair accuracy": "pairs",
    "pair accuracy, same-model pairs": "same-model",
    "first-wrong-step localisation": "wrong step",
}


def escape(text: str) -> str:
    """Escape what LaTeX would read as a command."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def tabular(
    title: str, columns: str, header: list[str], sections: dict[str, list[list[str]]]
) -> str:
    """Return a tabular of titled sections, to be read with ``\\input``.

    Args:
        columns: their alignment, as LaTeX has it.
        header, sections: cells in LaTeX; the titles of sections are plain text.
    """
    lines = [
        f"% {title}. Needs \\usepackage{{booktabs}}.".replace("\n", " "),
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(header),
    ]
    for name, rows in sections.items():
        heading = rf"\multicolumn{{{len(header)}}}{{l}}{{\emph{{{escape(name)}}}}}"
        lines += [r"\midrule", _row([heading]), *map(_row, rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def two_lines(names: list[str], cells: list[Cell], size: list[str]) -> list[list[str]]:
    """Return the rows of a tabular for one line of a table: values, and intervals below them."""
    values = [escape(cell.value + cell.mark) for cell in cells]
    small = [rf"{{\scriptsize {c.interval}}}" if c.interval else "" for c in cells]
    below = [[*[""] * len(names), *small, *[""] * len(size)]] if any(small) else []
    return [[*map(escape, names), *values, *map(escape, size)], *below]


def main_latex(table: MainTable, title: str) -> str:
    """Return the tabular: two lines per method, the interval over problems below the value."""
    width = len(table.columns) + 2
    lines = [
        f"% {title}. Needs \\usepackage{{booktabs}}.".replace("\n", " "),
        rf"\begin{{tabular}}{{lr{'c' * len(table.columns)}}}",
        r"\toprule",
        *_header(table),
        r"\midrule",
    ]
    for name, seeds, cells in table.rows:
        lines.append(_row([escape(name), escape(seeds), *map(_value, cells)]))
        if any(cell.interval for cell in cells):
            small = [rf"{{\scriptsize {cell.interval}}}" if cell.interval else "" for cell in cells]
            lines.append(_row(["", "", *small]))
    lines += [r"\midrule", _row(["$n$", "", *table.counts]), r"\bottomrule"]
    notes = ["Brackets: bootstrap interval over problems."]
    if table.has_spread:
        notes.append(escape("±: half of the t-interval over seeds."))
    if table.has_one_run:
        notes.append(f"{escape(ONE_RUN)} one run only.")
    note = rf"\footnotesize {' '.join(notes)}"
    lines.append(_row([rf"\multicolumn{{{width}}}{{l}}{{{note}}}"]))
    return "\n".join([*lines, r"\end{tabular}", ""])


def _header(table: MainTable) -> list[str]:
    """The sets above their metrics, with a rule under each set."""
    sets, rules, place = ["", ""], [], 3
    for name, columns in groupby(table.headers(), key=lambda header: header[0]):
        span = len(list(columns))
        sets.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(name)}}}")
        rules.append(rf"\cmidrule(lr){{{place}-{place + span - 1}}}")
        place += span
    metrics = [
        _SHORT.get(metric, metric.removesuffix(" accuracy")) for _, metric in table.headers()
    ]
    return [_row(sets), "".join(rules), _row(["method", "seeds", *map(escape, metrics)])]


def _value(cell: Cell) -> str:
    spread = rf" {{\scriptsize {escape(cell.spread)}}}" if cell.spread else ""
    return escape(cell.value + cell.mark) + spread


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
