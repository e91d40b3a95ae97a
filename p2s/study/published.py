"""The published numbers of the paper's tables, read from experiments/paper.yaml."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from p2s.plain_yaml import read_yaml
from p2s.spec.part import Part
from p2s.study.project import PAPER

Number = Annotated[float, Field(strict=True)]
Deviation = Annotated[NonNegativeFloat, Field(strict=True)]


class Published(NamedTuple):
    """One cell of a table; `value` is None where the paper prints a dash."""

    table: int
    row: str
    column: str
    value: float | None
    unit: str
    deviation: float | None  # standard deviation over the paper's runs, where printed
    note: str | None  # on the row, else on the table


class Table(Part):
    """One table: its columns with units, and its rows of values in that order."""

    table: PositiveInt
    title: str
    columns: dict[str, str]
    rows: dict[str, list[Number | tuple[Number, Deviation] | None]]
    note: str | None = None
    notes: dict[str, str] = {}

    @model_validator(mode="after")
    def _consistent(self):
        for row, cells in self.rows.items():
            if len(cells) != len(self.columns):
                raise ValueError(
                    f"row {row!r} has {len(cells)} values for {len(self.columns)} columns"
                )
        if unknown := sorted(set(self.notes) - set(self.rows)):
            raise ValueError(f"notes on unknown rows {unknown}; valid: {', '.join(self.rows)}")
        return self

    def cells(self) -> Iterator[Published]:
        """All cells, row by row."""
        for row, values in self.rows.items():
            for (column, unit), cell in zip(self.columns.items(), values, strict=True):
                value, deviation = cell if isinstance(cell, tuple) else (cell, None)
                note = self.notes.get(row, self.note)
                yield Published(self.table, row, column, value, unit, deviation, note)


def read_tables(path: Path | str = PAPER) -> list[Table]:
    """The tables of a file; ValueError names the file, the line and the field of a slip."""
    tables: list[Table] = read_yaml(path, list[Table])
    numbers = [table.table for table in tables]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{path}: a table stands twice among {numbers}")
    return tables


def published(table: int, row: str, column: str) -> float | None:
    """The printed value of a cell, None for a printed dash; ValueError lists the valid names."""
    return cell(table, row, column).value


def cell(table: int, row: str, column: str) -> Published:
    """A cell with its deviation and note; ValueError lists the valid names."""
    rows = _lookup(_cells(), table, "table")
    columns = _lookup(rows, row, f"table {table}: row")
    return _lookup(columns, column, f"table {table}: column")


def of_table(table: int) -> list[Published]:
    """All cells of a table, row by row; ValueError lists the tables that there are."""
    rows = _lookup(_cells(), table, "table")
    return [cell for cells in rows.values() for cell in cells.values()]


def columns(table: int) -> list[str]:
    """The names of a table's columns."""
    rows = _lookup(_cells(), table, "table")
    return list(next(iter(rows.values())))


def _lookup(valid, name, what):
    if name not in valid:
        raise ValueError(f"{PAPER}: {what} {name!r} unknown; valid: {', '.join(map(str, valid))}")
    return valid[name]


@cache
def _cells() -> dict[int, dict[str, dict[str, Published]]]:
    """Cells by table, row and column."""
    return {
        table.table: {
            row: {c.column: c for c in table.cells() if c.row == row} for row in table.rows
        }
        for table in read_tables()
    }
