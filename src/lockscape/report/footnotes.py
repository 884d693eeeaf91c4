"""Notes at the cells of a published table: letters at the cells, texts under the table."""

from string import ascii_lowercase

from lockscape import catalog
from lockscape.catalog import Finding


class Footnotes:
    """The findings about a table's cells, lettered in the order in which the table is written.

    A finding about a whole column is marked at the column's heading, see `heading`.
    """

    def __init__(self, table: str) -> None:
        """`table` is ``table1``, ``table2`` or ``table3``."""
        self._table = table
        self._letters: dict[str, str] = {}
        self.used: list[tuple[str, Finding]] = []
        """(letter, finding), in order of first use."""

    def at(self, row: str, column: str) -> tuple[str, ...]:
        """Return the letters at a cell; new findings get the next letter."""
        return tuple(self._letter(each) for each in self._found(column) if self._names(each, row, column))

    def heading(self, column: str) -> tuple[str, ...]:
        """Return the letters at a column's heading."""
        return tuple(self._letter(each) for each in self._found(column) if self._names(each, None, column))

    def marked(self, cell: str, row: str, column: str) -> str:
        """Return a cell with its marks, such as ``18 months [a]``."""
        return " ".join((cell, *(f"[{letter}]" for letter in self.at(row, column))))

    def lines(self) -> tuple[str, ...]:
        """Return the notes that were used, one text each, for under the table."""
        return tuple(
            f"[{letter}] {finding.kind}: {finding.text} ({finding.evidence}; mark {finding.confidence})"
            for letter, finding in self.used
        )

    def _found(self, column: str) -> tuple[Finding, ...]:
        return catalog.findings(self._table, None, column)

    def _names(self, finding: Finding, row: str | None, column: str) -> bool:
        return any(
            place.table == self._table and place.row == row and place.column == column
            for place in finding.places
        )

    def _letter(self, finding: Finding) -> str:
        if finding.id not in self._letters:
            self._letters[finding.id] = ascii_lowercase[len(self._letters)]
            self.used.append((self._letters[finding.id], finding))
        return self._letters[finding.id]
