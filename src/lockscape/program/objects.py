"""Classes of kernel objects: integer fields, references, and keyed collections.

A class is declared as a Python class and never instantiated; its annotations are its fields::

    class Inode(Object):
        nlink: int
        pages: Collection = listed("Page")

The simulated object is a row of int64 words (see `Layout`); where a lock lies in it is the port's matter.
"""

import inspect
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from lockscape.program.layout import COLLECTION_WORDS, LOCK_WORDS, OBJECT_WORDS

Kind = Literal["listed", "hashed", "slotted", "bitmap"]
"""How a collection is kept: a list, chains of a hash table, numbered slots, or a bitmap."""
KINDS: tuple[Kind, ...] = typing.get_args(Kind)
"""The same, in the order of their numbers in the machine."""


@dataclass(frozen=True)
class Collection:
    """An ordered keyed collection inside an object.

    `kind` says what its position means: in a *listed* one the place from the head; in a *hashed* one the
    mean length of a chain of `buckets` buckets; in a *slotted* one the slot, filled first-fit, as the
    entries of a linear directory; in a *bitmap* of `slots` bits the 32-bit words looked at.
    Looking up costs the step `base` and `each` for every position passed, finding the place of an
    insertion `insert_base` and `insert_each`.
    """

    kind: Kind
    values: str = ""
    base: str = ""
    each: str = ""
    buckets: int = 1
    slots: int = 0
    insert_base: str = ""
    insert_each: str = ""


def listed(values: Any = "", base: str = "", each: str = "") -> Collection:
    """Return a list: insertion at the tail, removal anywhere."""
    return Collection("listed", _name(values), base, each)


def hashed(values: Any = "", base: str = "", each: str = "", buckets: int = 1024) -> Collection:
    """Return a hash table that also remembers the order of insertion (oldest first)."""
    return Collection("hashed", _name(values), base, each, buckets)


def slotted(
    values: Any = "", base: str = "", each: str = "", insert_base: str = "", insert_each: str = ""
) -> Collection:
    """Return a growing table of slots with first-fit insertion."""
    return Collection("slotted", _name(values), base, each, insert_base=insert_base, insert_each=insert_each)


def bitmap(slots: int, base: str = "", each: str = "") -> Collection:
    """Return a bitmap of `slots` bits."""
    return Collection("bitmap", "", base, each, slots=slots)


def _name(values: Any) -> str:
    return values if isinstance(values, str) else str(values.__name__)


@dataclass(frozen=True)
class Racy:
    """Marks a field that is read or written without protection on purpose: ``Annotated[int, Racy(...)]``."""

    reason: str


@dataclass(frozen=True)
class FieldInfo:
    """One field: `refers` names the class that it points to, or is empty for an integer."""

    name: str
    refers: str
    racy: str


class Object:
    """Base of all object classes. ``class C(Object, count="cpus")`` declares a table of system objects.

    `count` is empty for objects made at run time, a number, or the name of a machine quantity
    (``cpus``, ``processes``) for tables that each kernel instance has from the start.
    ``class C(kernel.C, extends=True)`` gives the kernel's class of that name further parts, in ports that
    have the new code where it stands.
    """

    table_size: typing.ClassVar[str] = ""
    declared: typing.ClassVar[dict[str, type["Object"]]] = {}

    def __init_subclass__(cls, count: str | int = "", extends: bool = False) -> None:
        if not extends:
            cls.table_size = str(count)
            Object.declared[cls.__name__] = cls


@dataclass(frozen=True)
class Layout:
    """Where each part of an object lies, in words from its address.

    An object starts with its class number, its generation (odd while allocated), the state of its cache
    line (last writer, sharers); then fields, collections and locks follow.
    """

    name: str
    count: str
    fields: dict[str, int]
    infos: dict[str, FieldInfo]
    collections: dict[str, int]
    kinds: dict[str, Collection]
    locks: dict[str, int] = field(default_factory=dict)

    @property
    def words(self) -> int:
        """Size of the object in words."""
        used = len(self.fields) + COLLECTION_WORDS * len(self.collections) + LOCK_WORDS * len(self.locks)
        return OBJECT_WORDS + used

    def member(self, name: str) -> int:
        """Return the offset of a field or collection. `KeyError` if there is none of that name."""
        return self.fields[name] if name in self.fields else self.collections[name]


def layout(cls: type[Object], locks: tuple[str, ...] = ()) -> Layout:
    """Lay out an object class with the locks that a port embeds in it."""
    infos: dict[str, FieldInfo] = {}
    kinds: dict[str, Collection] = {}
    for name, hint in _annotations(cls).items():
        value = getattr(cls, name, None)
        if isinstance(value, Collection):
            kinds[name] = value
        else:
            infos[name] = _field(name, hint)
    place = OBJECT_WORDS
    fields = {name: place + k for k, name in enumerate(infos)}
    place += len(fields)
    collections = {name: place + COLLECTION_WORDS * k for k, name in enumerate(kinds)}
    place += COLLECTION_WORDS * len(kinds)
    offsets = {name: place + LOCK_WORDS * k for k, name in enumerate(locks)}
    return Layout(cls.__name__, cls.table_size, fields, infos, collections, kinds, offsets)


def _annotations(cls: type[Object]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Object) and base is not Object:
            found.update(inspect.get_annotations(base))
    return found


def _field(name: str, hint: Any) -> FieldInfo:
    racy = ""
    if typing.get_origin(hint) is typing.Annotated:
        hint, *marks = typing.get_args(hint)
        racy = next((m.reason for m in marks if isinstance(m, Racy)), "")
    if isinstance(hint, str):
        refers = hint
    elif isinstance(hint, typing.ForwardRef):
        refers = hint.__forward_arg__
    else:
        refers = "" if hint is int else hint.__name__
    return FieldInfo(name, refers, racy)
