"""Preprocessor macros: definitions, expansion, and which names depend on what differs between two sets.

Everything is iterative or bounded, so that hostile source (macros that double at every step, that call
themselves, or that call each other in a circle) ends quickly, with `UnresolvableError` instead of a value.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

MAX_STEPS = 1_000_000
"""Tokens that all conditionals of one file together may expand to and evaluate, about two seconds of work."""

MAX_DEPTH = 32
"""Macro calls inside the arguments of macro calls are followed this deep."""

STRING = r'(?:L|u8|u|U)?"(?:[^"\\\n]|\\.)*+"?'
"""A string literal, ended by the line's end at the latest."""

WORD = r"[A-Za-z_$][\w$]*+"
"""An identifier (GNU C allows the dollar sign)."""

PAINTED = "\0"
"""Stands before a name that must not be expanded again (ISO C 6.10.3.4)."""

_CHARACTER = r"(?:L|u8|u|U)?'(?:[^'\\\n]|\\.)*+'?"
_NUMBER = r"\.?\d(?:[eEpP][+-]|[\w.])*+"
_OPERATOR = r"##|<<|>>|\+\+|--|[<>=!]=|&&|\|\||\.\.\.|[^ \t\f\v\r]"
_TOKEN = re.compile(rf"{STRING}|{_CHARACTER}|{WORD}|{_NUMBER}|{_OPERATOR}", re.ASCII | re.DOTALL)
_IDENTIFIER = re.compile(WORD, re.ASCII)


class UnresolvableError(ValueError):
    """A conditional whose value cannot be determined, and why; cpp takes such a group as false."""


class Budget:
    """What one file may still spend on expanding and evaluating, in tokens."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int) -> None:
        """Take `steps` tokens off; raises UnresolvableError when none are left."""
        self.steps -= steps
        if self.steps < 0:
            raise UnresolvableError(f"the file's conditionals expand to more than {MAX_STEPS:,} tokens")


@dataclass(frozen=True)
class Macro:
    """A macro's parameters (None for an object-like macro) and its body with white space collapsed."""

    params: tuple[str, ...] | None
    body: str

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The preprocessing tokens of the body."""
        return tuple(_TOKEN.findall(self.body))

    @cached_property
    def words(self) -> frozenset[str]:
        """The identifiers that the body hands on to further expansion."""
        return frozenset(filter(_IDENTIFIER.fullmatch, self.tokens)).difference(self.params or ())


Macros = Mapping[str, Macro]
"""Macros, by name."""

_DEFINITION = re.compile(rf"[ \t\f]*({WORD})(\([^)]*\))?(.*)", re.ASCII | re.DOTALL)
_PARAMETER = re.compile(rf"(?:{WORD})?[ \t\f]*(?:\.\.\.)?", re.ASCII)


def parse_definition(text: str) -> tuple[str, Macro] | None:
    """Return name and macro of the text behind ``#define``, or None where that is malformed."""
    match = _DEFINITION.match(text)
    if match is None or match[1] == "defined":
        return None
    params = None
    if match[2]:
        params = tuple(p.strip() for p in match[2][1:-1].split(",")) if match[2][1:-1].strip() else ()
        if not all(p and _PARAMETER.fullmatch(p) for p in params):
            return None
    elif match[3][:1] == "(":
        return None
    return match[1], Macro(params, " ".join(match[3].split()))


def tokenize(text: str, budget: Budget) -> list[str]:
    """Return the preprocessing tokens of `text`, paid from `budget`."""
    tokens = []
    for match in _TOKEN.finditer(text):
        tokens.append(match[0])
        if len(tokens) & 0xFFF == 0:
            budget.spend(0x1000)
    return tokens


class _End(str):
    """A marker behind the tokens that came out of a macro: it may be expanded again from there on."""

    __slots__ = ()


def expand(
    tokens: Iterable[str], macros: Macros, budget: Budget, depth: int = 0, within: Iterable[str] = ()
) -> list[str]:
    """Expand all macros; ``defined X`` becomes 1 or 0. An explicit stack takes the place of recursion.

    `within`: macros in whose bodies the tokens stand, as arguments do: they are not expanded again there.
    """
    if depth > MAX_DEPTH:
        raise UnresolvableError(f"macro calls are nested more than {MAX_DEPTH} deep")
    work = list(tokens)[::-1]
    active = set(within)
    out: list[str] = []
    while work:
        budget.spend(1)
        token = work.pop()
        if isinstance(token, _End):
            active.discard(str(token))
            continue
        if token == "defined" and not depth:  # in arguments its name is expanded before, as in cpp
            out.append("1" if _defined_operand(work) in macros else "0")
            continue
        macro = macros.get(token)
        if macro is None:
            out.append(token)
        elif token in active:
            out.append(PAINTED + token)
        elif macro.params is None:
            _enter(token, macro.tokens, work, active, budget)
        elif _opens_call(work, active):
            arguments = _arguments(token, macro.params, work, active, budget)
            body = _substitute(macro, arguments, macros, budget, depth, frozenset(active))
            _enter(token, body, work, active, budget)
        else:
            out.append(token)
    return out


def _enter(name: str, tokens: Iterable[str], work: list[str], active: set[str], budget: Budget) -> None:
    body = list(tokens)
    budget.spend(len(body))
    active.add(name)
    work.append(_End(name))
    work.extend(reversed(body))


def _next(work: list[str]) -> str:
    while work:
        token = work.pop()
        if not isinstance(token, _End):
            return token
    return ""


def _defined_operand(work: list[str]) -> str:
    name = _next(work)
    closed = name != "("
    if not closed:
        name = _next(work)
        closed = _next(work) == ")"
    name = name.removeprefix(PAINTED)
    if not closed or not _IDENTIFIER.fullmatch(name):
        raise UnresolvableError("'defined' without a name")
    return name


def _opens_call(work: list[str], active: set[str]) -> bool:
    at = len(work) - 1
    while at >= 0 and isinstance(work[at], _End):
        at -= 1
    if at < 0 or work[at] != "(":
        return False
    for marker in work[at + 1 :]:
        active.discard(str(marker))
    del work[at:]
    return True


def _arguments(
    name: str, params: tuple[str, ...], work: list[str], active: set[str], budget: Budget
) -> dict[str, list[str]]:
    """Take the arguments of a call off the stack, whose ``(`` is gone already; return them by parameter."""
    found: list[list[str]] = [[]]
    nesting = 1
    variadic = bool(params) and params[-1].endswith("...")
    while work:
        budget.spend(1)
        token = work.pop()
        if isinstance(token, _End):
            active.discard(str(token))
            continue
        nesting += (token == "(") - (token == ")")
        if nesting == 0:
            break
        if token == "," and nesting == 1 and not (variadic and len(found) == len(params)):
            found.append([])
        else:
            found[-1].append(token)
    else:
        raise UnresolvableError(f"call of macro {name!r} without a closing parenthesis")
    if variadic and len(found) == len(params) - 1:
        found.append([])
    if not params and found == [[]]:
        found = []
    if len(found) != len(params):
        raise UnresolvableError(f"macro {name!r} takes {len(params)} arguments, not {len(found)}")
    names = [(p.removesuffix("...").strip() or "__VA_ARGS__") for p in params]
    return dict(zip(names, found, strict=True))


def _substitute(
    macro: Macro,
    arguments: dict[str, list[str]],
    macros: Macros,
    budget: Budget,
    depth: int,
    within: frozenset[str],
) -> list[str]:
    """Return the body with its parameters replaced; ``#`` and ``##`` see arguments as they were written."""
    expanded: dict[str, list[str]] = {}
    out: list[str] = []
    body = macro.tokens
    for at, token in enumerate(body):
        if token == "##" and 0 < at < len(body) - 1:
            continue
        pasted = at > 1 and body[at - 1] == "##"
        raw = pasted or (at + 1 < len(body) and body[at + 1] == "##")
        if at and body[at - 1] == "#" and token in arguments:
            out[-1] = '"' + " ".join(arguments[token]) + '"'
            continue
        if token not in arguments:
            piece = [token]
        elif raw:
            piece = arguments[token]
        else:
            if token not in expanded:
                expanded[token] = expand(arguments[token], macros, budget, depth + 1, within)
            piece = expanded[token]
        budget.spend(len(piece))
        if pasted and out and piece and _TOKEN.fullmatch(out[-1] + piece[0]):
            out[-1] += piece[0]  # where that gives no token, both stay apart, as in cpp
            piece = piece[1:]
        out.extend(piece)
    return out


MAX_CHAIN_STEPS = 2_000_000
"""Macro bodies looked into for one file to find which lines depend on a differing macro."""

_PLAIN_OR_QUOTED = re.compile(rf"{STRING}|{_CHARACTER}|({WORD})|\d[\w.]*+", re.ASCII)
_BRACKET = re.compile(rf"{STRING}|{_CHARACTER}|[()]", re.ASCII)
_CALL = re.compile(rf"({WORD})\s*+\(", re.ASCII)


class Dependence:
    """Which lines of text expand differently under two macro sets, also through chains of macros.

    The two dictionaries are shared with the caller, which calls `changed` after each change to a name.
    """

    def __init__(self, first: Macros, second: Macros) -> None:
        self._sets = (first, second)
        self._differing = {n for n in {*first, *second} if first.get(n) != second.get(n)}
        self._reaches: dict[str, bool] = {}
        self._steps = MAX_CHAIN_STEPS

    @property
    def exhausted(self) -> bool:
        """Whether chains were cut off; lines from there on may be taken as equal wrongly."""
        return self._steps < 0

    def changed(self, name: str) -> None:
        """Take note that `name` was defined or undefined in one or both sets."""
        first, second = self._sets
        if first.get(name) == second.get(name):
            self._differing.discard(name)
        else:
            self._differing.add(name)
        self._reaches.clear()

    def cut(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield consecutive whole lines of `text`, together the text, with whether they differ."""
        begin = end = 0  # of the lines that differ and are not yielded yet; before them everything is
        for start, stop in self._marked(text):
            if start > end:
                if end > begin:
                    yield text[begin:end], True
                yield text[end:start], False
                begin = start
            end = stop
        if end > begin:
            yield text[begin:end], True
        if end < len(text):
            yield text[end:], False

    def _marked(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the lines that use a differing macro, with all lines of a function-like one's call."""
        names = self._names(text)
        closing: dict[int, int] | None = None
        at = 0
        while names and (match := self._use(text, at, names)) is not None:
            end = match.end()
            if match[0][-1] == "(":
                if closing is None:
                    closing = _closing(text)
                end = closing.get(end, match.end(1))
            start = text.rfind("\n", at, match.start()) + 1 or at
            at = text.find("\n", end - 1) + 1 or len(text)
            yield start, at

    def _use(self, text: str, at: int, names: set[str]) -> re.Match[str] | None:
        """Return the next use of one of `names`; a function-like macro's is its name before a parenthesis."""
        for match in _PLAIN_OR_QUOTED.finditer(text, at):
            if match[1] in names:
                if self._object_like(match[1]):
                    return match
                call = _CALL.match(text, match.start())
                if call is not None:
                    return call
        return None

    def _names(self, text: str) -> set[str]:
        """Return the words of `text` that are macros and depend on what differs."""
        if not self._differing:
            return set()
        first, second = self._sets
        words = {match[0] for match in _IDENTIFIER.finditer(text)}
        return {word for word in words if (word in first or word in second) and self._depends(word)}

    def _object_like(self, name: str) -> bool:
        return any(name in macros and macros[name].params is None for macros in self._sets)

    def _depends(self, name: str) -> bool:
        """Return whether the expansion of `name` contains a name that is defined differently."""
        known = self._reaches.get(name)
        if known is None:
            known = self._reaches[name] = self._search(name)
        return known

    def _search(self, name: str) -> bool:
        if name in self._differing:
            return True
        seen = {name}
        pending = [name]
        while pending and self._steps >= 0:
            here = pending.pop()
            for macros in self._sets:
                macro = macros.get(here)
                self._steps -= len(macro.words) if macro else 0
                for word in macro.words - seen if macro else ():
                    if word in self._differing or self._reaches.get(word):
                        return True
                    seen.add(word)
                    if word not in self._reaches:
                        pending.append(word)
        if self._steps >= 0:
            self._reaches.update(dict.fromkeys(seen, False))
        return False


def _closing(text: str) -> dict[int, int]:
    """Return the ends of parentheses by the positions behind their opening (in one pass over `text`)."""
    opened: list[int] = []
    found: dict[int, int] = {}
    for match in _BRACKET.finditer(text):
        if match[0] == "(":
            opened.append(match.end())
        elif match[0] == ")" and opened:
            found[opened.pop()] = match.end()
    return found
