"""What a missing lock leads to, as tables and text."""

from collections import Counter
from collections.abc import Iterator
from typing import TextIO

from lockscape.experiments.result import FaultRecord, Removal
from lockscape.report.prose import Paragraph, print_prose
from lockscape.report.simulate import SimulateDocument
from lockscape.report.simulate_tables import about
from lockscape.report.table import Row, Table, print_tables
from lockscape.report.text import printable

_MOST_DAMAGE = 5
NEAR_LINES = 6
"""Lines shown before and after each line of the fault itself."""


def removals_csv(document: SimulateDocument) -> Table:
    """Return one table of all faults."""
    rows: tuple[Row, ...] = tuple(
        (removal.system, removal.lock, removal.cpus, fault.kind, fault.time_cycles, fault.message)
        for removal in document.without
        for fault in removal.faults
    )
    return Table(
        "", ("system", "lock", "cpus", "kind", "time_cycles", "message"), rows, frozenset({0, 1, 3, 5})
    )


def print_removals(document: SimulateDocument, out: TextIO) -> None:
    """Write for each system which faults showed, how the first of them came about, and what they did."""
    print_prose([Paragraph(line, "note") for line in about(document)], out)
    for removal in document.without:
        out.write("\n")
        _print_removal(removal, out)


def _print_removal(removal: Removal, out: TextIO) -> None:
    kinds = Counter(fault.kind for fault in removal.faults)
    places = "place" if removal.rules == 1 else "places"
    where = f"not taken at {removal.rules} {places}, {removal.cpus} processors"
    title = f"{removal.system} without {removal.lock}: {where}"
    if not removal.lock:
        title = f"{removal.system} under the fault detector, {removal.cpus} processors"
    rows: tuple[Row, ...] = tuple((kind, count) for kind, count in kinds.most_common())
    again = f"They showed {removal.repeated:,} more times at the same places." if removal.repeated else ""
    if rows:
        print_tables((Table(title, ("fault", "places"), rows, notes=(again,) if again else ()),), out)
    else:
        print_prose([Paragraph(title, "title")], out)
        print_prose(
            [
                Paragraph(
                    "No fault showed in this run. Others may show more: --processes, --seed, --cpus, "
                    "--workload.",
                    "plain",
                )
            ],
            out,
        )
    for fault in removal.faults:
        if fault.interleaving:
            _print_fault(fault, out)
    hidden = sum(not fault.interleaving for fault in removal.faults)
    if hidden:
        print_prose([Paragraph(f"{hidden} more faults with --json.", "note")], out)
    _print_damage(removal, out)


def _print_fault(fault: FaultRecord, out: TextIO) -> None:
    print_prose([Paragraph(f"{fault.kind}", "heading"), Paragraph(fault.message, "plain")], out)
    out.write("\n")
    for mark, line in _shortened(fault):
        out.write(f"{mark} {printable(line)}\n")


def _shortened(fault: FaultRecord) -> Iterator[tuple[str, str]]:
    """Yield the lines near those of the fault itself, which are marked; what is left out is said."""
    lines = fault.interleaving
    own = {number for number, line in enumerate(lines) if _is_own(line, fault)}
    near = [any(abs(number - each) <= NEAR_LINES for each in own) for number in range(len(lines))]
    left_out = 0
    for number, line in enumerate(lines):
        if near[number]:
            if left_out:
                yield " ", f"{'...':>12}  {left_out} lines"
            yield ">" if number in own else " ", line
            left_out = 0
        else:
            left_out += 1
    if left_out:
        yield " ", f"{'...':>12}  {left_out} lines, all with --json"


def _is_own(line: str, fault: FaultRecord) -> bool:
    """Say whether a line is one of those that the fault consists of."""
    time = line.split(maxsplit=1)[0]
    parties = zip(fault.times_cycles, fault.places, strict=True)
    return any(time == str(when) and place in line for when, place in parties)


def _print_damage(removal: Removal, out: TextIO) -> None:
    if removal.ended:
        text = f"The run could not go on: {removal.ended}"
    elif removal.damage:
        more = len(removal.damage) - _MOST_DAMAGE
        rest = f"; and {more} more" if more > 0 else ""
        text = "Damage at the end, as fsck finds it: " + "; ".join(removal.damage[:_MOST_DAMAGE]) + rest + "."
    else:
        text = "The file system and the memory came out whole, this time."
    print_prose([Paragraph("What came of it", "heading"), Paragraph(text, "plain")], out)
