"""The integer expressions of ``#if``, as ISO C and GNU cpp define them."""

import operator
import re
from collections.abc import Callable

from lockscape.source.macros import PAINTED, WORD, Budget, Macros, UnresolvableError, expand, tokenize

_IDENTIFIER = re.compile(WORD, re.ASCII)
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|0[0-7]*|[1-9]\d*)([uUlL]*)\Z", re.ASCII)
_SUFFIXES = frozenset(("", "u", "l", "ul", "lu", "ll", "ull", "llu"))
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|(.))|(.)", re.DOTALL)
_SIMPLE_ESCAPES = dict(zip("abfnrtveE", (7, 8, 12, 10, 13, 9, 11, 27, 27), strict=True))


def evaluate(text: str, macros: Macros, budget: Budget) -> bool:
    """Return whether the expression behind ``#if`` is not zero; raises UnresolvableError.

    Arithmetic is 64-bit, signed unless a suffix or the value makes it unsigned, as cpp computes.
    """
    tokens = tokenize(text, budget)
    expanded = expand(tokens, macros, budget)
    if not expanded:
        raise UnresolvableError("conditional without an expression")
    return _Calculator().run(expanded)


_BITS = 64
_MODULUS = 1 << _BITS
_SIGN = 1 << (_BITS - 1)

_Value = tuple[int, bool] | None
"""A number and whether it is unsigned; None once something has been divided by zero."""

_PRECEDENCE = {
    **dict.fromkeys((",",), 1),
    **dict.fromkeys(("?", ":"), 2),
    "||": 3,
    "&&": 4,
    "|": 5,
    "^": 6,
    "&": 7,
    **dict.fromkeys(("==", "!="), 8),
    **dict.fromkeys(("<", ">", "<=", ">="), 9),
    **dict.fromkeys(("<<", ">>"), 10),
    **dict.fromkeys(("+", "-"), 11),
    **dict.fromkeys(("*", "/", "%"), 12),
}
_UNARY = {"!": "!", "~": "~", "-": "u-", "+": "u+"}
_UNARY_PRECEDENCE = 13
_OPEN = ("(", "?")  # nothing is reduced across these


class _Calculator:
    """Operator precedence parsing with two stacks (no recursion, so no depth limit)."""

    def __init__(self) -> None:
        self.values: list[_Value] = []
        self.operators: list[str] = []

    def run(self, tokens: list[str]) -> bool:
        operand = True
        for token in tokens:
            operand = self._operand(token) if operand else self._operator(token)
        if operand:
            raise UnresolvableError("the expression ends without an operand")
        self._reduce(0)
        if self.operators:
            missing = {"(": "')'", "?": "':'"}[self.operators[-1]]
            raise UnresolvableError(f"missing {missing} in the expression")
        result = self.values.pop()
        if result is None:
            raise UnresolvableError("division by zero")
        return result[0] != 0

    def _operand(self, token: str) -> bool:
        """Take a token where an operand must begin; return whether an operand is still due."""
        if token == "(" or token in _UNARY:
            self.operators.append(_UNARY.get(token, token))
            return True
        self.values.append(_constant(token))
        return False

    def _operator(self, token: str) -> bool:
        if token in (")", ":"):
            self._reduce(0)
            opening = "(" if token == ")" else "?"
            if not self.operators or self.operators[-1] != opening:
                raise UnresolvableError(f"{token!r} without {opening!r}")
            self.operators.pop()
            if token == ":":
                self.operators.append(token)
            return token == ":"
        precedence = _PRECEDENCE.get(token)
        if precedence is None:
            raise UnresolvableError(f"missing operator before {_shown(token)}")
        self._reduce(precedence + (token == "?"))
        self.operators.append(token)
        return True

    def _reduce(self, precedence: int) -> None:
        """Apply the operators on the stack that bind at least as tightly as `precedence`."""
        while self.operators and self.operators[-1] not in _OPEN:
            top = self.operators[-1]
            if _PRECEDENCE.get(top, _UNARY_PRECEDENCE) < precedence:
                return
            self.operators.pop()
            right = self.values.pop()
            if top == ":":
                left = self.values.pop()
                self.values.append(_choose(self.values.pop(), left, right))
            elif top in _PRECEDENCE:
                self.values.append(_binary(top, self.values.pop(), right))
            else:
                self.values.append(_unary(top, right))


def _shown(token: str) -> str:
    token = token.removeprefix(PAINTED)
    return repr(token if len(token) <= 40 else token[:40] + "…")


def _wrap(value: int, unsigned: bool) -> _Value:
    value %= _MODULUS
    return (value - _MODULUS if value >= _SIGN and not unsigned else value), unsigned


def _constant(token: str) -> _Value:
    name = token.removeprefix(PAINTED)
    if _IDENTIFIER.fullmatch(name):
        return 0, False
    match = _NUMBER.match(token)
    if match is not None:
        digits, suffix = match[1], match[2].lower()
        if suffix not in _SUFFIXES or len(digits) > 70:
            raise UnresolvableError(f"no integer constant: {_shown(token)}")
        base = 8 if digits[0] == "0" and digits[1:].isdigit() else 0
        value = int(digits, base)
        if value >= _MODULUS:
            raise UnresolvableError(f"integer constant larger than 64 bits: {_shown(token)}")
        return value, "u" in suffix or value >= _SIGN
    if token[-1] == "'" and token.count("'") > 1:
        return _character(token)
    raise UnresolvableError(f"{_shown(token)} has no value in an expression")


def _character(token: str) -> _Value:
    """Return the value of a character constant: a signed byte, or several that make up an int (GCC, x86)."""
    prefix, _, rest = token.partition("'")
    value = count = 0
    for match in _ESCAPE.finditer(rest[:-1]):
        hexadecimal, octal, escape, plain = match.groups()
        if hexadecimal is not None:
            unit = int(hexadecimal[-8:], 16)
        elif octal is not None:
            unit = int(octal, 8)
        else:
            unit = _SIMPLE_ESCAPES.get(escape, ord(escape)) if escape else ord(plain)
        value = unit if prefix else (value << 8 | unit & 0xFF) & 0xFFFFFFFF
        count += 1
    if not count:
        raise UnresolvableError("empty character constant")
    if prefix:
        return value, False
    width = 8 if count == 1 else 32
    return value - (1 << width) if value >> (width - 1) else value, False


def _choose(condition: _Value, left: _Value, right: _Value) -> _Value:
    if condition is None:
        return None
    chosen, other = (left, right) if condition[0] else (right, left)
    if chosen is None:
        return None
    return _wrap(chosen[0], chosen[1] or (other is not None and other[1]))


def _unary(sign: str, operand: _Value) -> _Value:
    if operand is None:
        return None
    value, unsigned = operand
    if sign == "!":
        return int(value == 0), False
    if sign == "~":
        return _wrap(~value, unsigned)
    return _wrap(-value, unsigned) if sign == "u-" else operand


def _binary(sign: str, left: _Value, right: _Value) -> _Value:
    if sign in ("&&", "||"):
        return _logical(sign == "||", left, right)
    if sign == ",":
        return right
    if left is None or right is None:
        return None
    if sign in ("<<", ">>"):
        return _shift(left, right[0] if sign == "<<" else -right[0])
    unsigned = left[1] or right[1]
    a, b = left[0], right[0]
    if unsigned:
        a, b = a % _MODULUS, b % _MODULUS
    if sign in _COMPARISONS:
        return int(_COMPARISONS[sign](a, b)), False
    if sign in ("/", "%"):
        if b == 0:
            return None
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        return _wrap(quotient if sign == "/" else a - b * quotient, unsigned)
    return _wrap(_ARITHMETIC[sign](a, b), unsigned)


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}


def _logical(is_or: bool, left: _Value, right: _Value) -> _Value:
    """Evaluate ``||`` or ``&&``: the right side counts only if the left leaves the result open."""
    if left is None:
        return None
    if (left[0] != 0) == is_or:
        return int(is_or), False
    return None if right is None else (int(right[0] != 0), False)


def _shift(value: tuple[int, bool], count: int) -> _Value:
    """Shift left by `count` bits, right if negative; beyond 64 bits everything is shifted out."""
    number, unsigned = value
    if count >= 0:
        return _wrap(number << count if count < _BITS else 0, unsigned)
    return _wrap(number >> min(-count, _BITS), unsigned)
