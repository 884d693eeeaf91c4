"""The types of the catalogue: frozen, and a data file may hold no field that its type does not name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec

from lockscape.catalog import printed

MethodId = Literal["giant", "coarse", "fine", "lock-free", "asymmetric", "virtualization", "reimplementation"]
"""One of the seven methods, as on the command line."""
NoteKind = Literal["mechanism", "number", "correction", "model", "unconfirmed"]
"""What a note about a cell of a published table is about."""
Mark = Literal["A", "B", "C", "E", "?"]
"""How sure a datum is, from A (read in the source itself) to E (estimated); ``?``: unknown."""
TableId = Literal["table1", "table2", "table3", "figure2"]
"""A table or figure of the paper."""
FindingKind = Literal["contradiction", "correction", "confirmation", "unconfirmed"]
"""What a finding says of the paper: it contradicts, corrects or confirms it, or could not be confirmed."""
Quantity = Literal["bkl-share", "bkl-places", "modified-lines", "modified-share", "changed-files-share"]
"""What a published statement counts in a kernel's source."""
Relation = Literal["exactly", "about", "more-than", "less-than"]
"""How a statement's number is meant."""

Text = Annotated[str, msgspec.Meta(min_length=1)]
"""Text that says something."""
Count = Annotated[int, msgspec.Meta(ge=0)]
"""How many there are."""
Panel = Annotated[str, msgspec.Meta(pattern="^[a-i]$")]
"""A panel of Figure 1."""

MARKS: Mapping[Mark, str] = MappingProxyType(
    {
        "A": "read in a primary source (source code, a manual, an author's text, the paper for what it says)",
        "B": "read in an abstract, a slide or a secondary page",
        "C": "from memory, not verified",
        "E": "an estimate, an inference or a modelling choice",
        "?": "could not be confirmed",
    }
)
"""What each confidence mark means, strongest first. A mixed note carries its weakest mark."""


class Datum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything that is read from a data file."""


class Statement(Datum, frozen=True):
    """What the paper says about a method, in our words, and in which section."""

    section: Text
    text: Text


class Variant(Datum, frozen=True):
    """A kind of a method that the paper tells apart.

    `systems` are the ids of the systems that use it. OSF/1 is in Table 1 under fine-grained locking, and uses
    funnels, which section 3.2 treats as a case of coarse-grained locking.
    """

    id: Text
    title: Text
    section: Text
    definition: Text
    systems: tuple[Text, ...]
    figure1_panel: Panel | None = None


class Method(Datum, frozen=True):
    """One of the seven ways of making a kernel multiprocessor. `figure1_panel` is a letter of Figure 1."""

    id: MethodId
    title: Text
    section: Text
    definition: Text
    scalability: tuple[Statement, ...]
    effort: tuple[Statement, ...]
    figure1_panel: Panel | None = None
    variants: tuple[Variant, ...] = ()


class Note(Datum, frozen=True):
    """What is known of a system beside Table 1, with its source and its mark (see `MARKS`)."""

    kind: NoteKind
    text: Text
    source: Text
    confidence: Mark

    def __post_init__(self) -> None:
        if self.confidence == "?" and self.kind != "unconfirmed":
            raise ValueError(f"a note of kind {self.kind!r} needs a confidence of A, B, C or E, not '?'")


class PrintedRow(Datum, frozen=True):
    """The cells of a row of Table 1 exactly as the paper prints them; ``?`` where it does not know."""

    method: Text
    focus: Text
    latency: Text
    scalability: Text
    code_lines: Text
    development_time: Text

    def __post_init__(self) -> None:
        for name, parse in (("code_lines", printed.lines), ("development_time", printed.days)):
            try:
                parse(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error


class System(Datum, frozen=True):
    """A row of Table 1: as printed, as typed values (None is *not known*), and with notes.

    `variants` are ids of variants, of the system's own method first. Sizes and times are of whole systems and
    between releases, as the caption of the table says, and not the effort of a port.
    """

    id: Text
    name: Text
    references: tuple[int, ...]
    method: MethodId
    variants: tuple[Text, ...]
    printed: PrintedRow
    notes: tuple[Note, ...]
    figure1_panel: Panel | None = None

    @property
    def latency(self) -> str | None:
        """The level of latency as an id, such as ``low`` or ``as-guest``."""
        return printed.level(self.printed.latency)

    @property
    def scalability(self) -> str | None:
        """The level of scalability as an id, such as ``high`` or ``depends-on-up``."""
        return printed.level(self.printed.scalability)

    @property
    def code_lines(self) -> tuple[int, ...] | None:
        """The numbers of code lines, one for each part that the paper prints."""
        return printed.lines(self.printed.code_lines)

    @property
    def total_code_lines(self) -> int | None:
        """The sum of `code_lines`."""
        return None if self.code_lines is None else sum(self.code_lines)

    @property
    def development_days(self) -> float | None:
        """The development time in days, with months of `printed.DAYS_PER_MONTH` days."""
        return printed.days(self.printed.development_time)

    def cells(self) -> dict[str, str]:
        """Return the row as printed, by column id; the name has its references, as in ``AIX [5, 25]``."""
        numbers = f" [{', '.join(map(str, self.references))}]" if self.references else ""
        return {"name": self.name + numbers, **msgspec.structs.asdict(self.printed)}


class Reference(Datum, frozen=True):
    """A reference of the paper as printed. `date` is empty where the paper prints none."""

    number: int
    authors: Text
    title: Text
    venue: Text
    date: Annotated[str, msgspec.Meta(pattern="^$|[0-9]{4}$")]

    @property
    def year(self) -> int | None:
        """The year at the end of `date`."""
        return int(self.date[-4:]) if self.date else None


class Column(Datum, frozen=True):
    """A column of a table: its id, its printed heading, and what it means."""

    id: Text
    printed: Text
    meaning: Text


class LockCounts(Datum, frozen=True):
    """A row of Table 2: the number of places that acquire or release each kind of lock."""

    version: Text
    bkl: Count
    spinlock: Count
    rwlock: Count
    seqlock: Count
    rcu: Count
    sema: Count

    @property
    def total_without_semaphores(self) -> int:
        """The number of places of all kinds but semaphores."""
        return self.bkl + self.spinlock + self.rwlock + self.seqlock + self.rcu

    @property
    def total(self) -> int:
        """The number of places of all kinds."""
        return self.total_without_semaphores + self.sema


class CodeChange(Datum, frozen=True):
    """A row of Table 3: files, and lines after preprocessing, without and with SMP support."""

    version: Text
    files: Count
    changed_files: Count
    lines_no_smp: Annotated[int, msgspec.Meta(gt=0)]
    lines_smp: Count
    modified: Count

    @property
    def modified_share(self) -> float:
        """The modified, new and removed lines as a fraction of the uniprocessor lines."""
        return self.modified / self.lines_no_smp


class Table1(Datum, frozen=True):
    """The headings of Table 1, whose rows are the systems."""

    title: Text
    caption: Text
    columns: tuple[Column, ...]


class Table2(Datum, frozen=True):
    """Table 2 as published."""

    title: Text
    caption: Text
    columns: tuple[Column, ...]
    rows: tuple[LockCounts, ...]


class Table3(Datum, frozen=True):
    """Table 3 as published."""

    title: Text
    caption: Text
    columns: tuple[Column, ...]
    rows: tuple[CodeChange, ...]


class Version(Datum, frozen=True):
    """A published version of Linux, the one that lockscape measured beside it, and its system in Table 1."""

    published: Text
    measured: Text
    system: Text


class Release(Datum, frozen=True):
    """A release and its date as section 5 prints it; `part` is the part of the month where it names one."""

    system: Text
    version: Text
    printed: Text
    year: int
    month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    part: Literal["early", "late"] | None = None


class Place(Datum, frozen=True):
    """Cells of a table or figure; a row or column that is None means all of them.

    Rows are system ids in Table 1 and versions in Tables 2 and 3; columns are column ids.
    """

    table: TableId
    row: Text | None = None
    column: Text | None = None


class Finding(Datum, frozen=True):
    """A statement about published cells: how they agree with each other or with the evidence."""

    id: Text
    kind: FindingKind
    places: Annotated[tuple[Place, ...], msgspec.Meta(min_length=1)]
    text: Text
    evidence: Text
    confidence: Mark


class Claim(Datum, frozen=True):
    """A statement of the paper that its tables can confirm or contradict, for each of `versions`.

    `value` is in places, lines or percent, as `quantity` says; `resolution` is one unit of the last digit
    quoted, in the same unit.
    """

    id: Text
    section: Text
    quote: Text
    quantity: Quantity
    versions: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    relation: Relation
    value: float
    resolution: Annotated[float, msgspec.Meta(gt=0)]


class Figure(Datum, frozen=True):
    """A published number of a system, in `unit`: a `value`, or a range from `low` to `high`.

    `given`: what is simulated takes it as a cost, so that it proves nothing there.
    """

    id: Text
    system: Text
    text: Text
    unit: Literal["us", "ms", "%", "ratio"]
    source: Text
    confidence: Mark
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    given: bool = False

    def __post_init__(self) -> None:
        if (self.value > 0) == (0 < self.low <= self.high):
            raise ValueError("give a value, or low and high")


class BeyondSystem(Datum, frozen=True):
    """A system that the paper does not discuss. `unconfirmed` says what could not be found out."""

    id: Text
    name: Text
    methods: tuple[MethodId, ...]
    text: Text
    source: Text
    confidence: Mark
    unconfirmed: Text | None = None
