"""From the source of a marked Python function to its tree form."""

import ast
import functools
import inspect
import linecache
import operator
import sys
import textwrap
import types
import typing
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from lockscape.errors import InputError
from lockscape.program.language import OPERATIONS, Operation
from lockscape.program.nodes import (
    MODES,
    Add,
    Assign,
    Binary,
    Body,
    Break,
    Call,
    Const,
    Do,
    Expr,
    Field,
    Function,
    Hold,
    If,
    Logic,
    Op,
    Return,
    Section,
    Step,
    Stmt,
    Store,
    The,
    Var,
    While,
)  # fmt: skip
from lockscape.program.objects import Layout, Object, layout

_BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.BitAnd: "&",
    ast.BitOr: "|", ast.LShift: "<<", ast.RShift: ">>",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip

_COMPUTE: dict[str, Callable[[int, int], int]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "&": operator.and_, "|": operator.or_, "<<": operator.lshift, ">>": operator.rshift,
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip

_VALUES_OF_COLLECTION = ("find", "find_from", "remove", "first", "after")


def parse(source: Callable[..., Any], options: Mapping[str, int]) -> Function:
    """Parse a marked function; ``option("name")`` takes its value from `options`.

    Raises `InputError`, naming file and line, for anything that the language does not have.
    """
    known = _SOURCES.setdefault(source, [])
    for asked, function in known:
        if all(options.get(name) == value for name, value in asked.items()):
            return function
    parser = _Parser(source, options)
    parsed = parser.function()
    known.append((parser.asked, parsed))
    return parsed


_SOURCES: weakref.WeakKeyDictionary[Callable[..., Any], list[tuple[dict[str, int], Function]]] = (
    weakref.WeakKeyDictionary()
)
"""What was parsed, by source, with the build options that each parse asked for: mostly none."""


def _text(source: Callable[..., Any]) -> str:
    """Return a function's source from the margin on, as `inspect.getsource` does in ten times the time.

    Raises `OSError` if there is none.
    """
    file = inspect.getsourcefile(source) or source.__code__.co_filename
    linecache.checkcache(file)
    lines = linecache.getlines(file, source.__globals__)
    first = source.__code__.co_firstlineno
    last = _last_lines("".join(lines)).get(first)
    if last is None:
        raise OSError(f"the source of {source.__name__} is not in {file}")
    return textwrap.dedent("".join(lines[first - 1 : last]))


@functools.lru_cache(maxsize=64)
def _last_lines(text: str) -> dict[int, int]:
    """Return the last line of each function of a file by its first one, with its decorators."""
    found = (each for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef))
    return {
        min([each.lineno, *(d.lineno for d in each.decorator_list)]): each.end_lineno or each.lineno
        for each in found
    }


class _Parser:
    """One function's parse: the scope of its names and the class of each variable."""

    def __init__(self, source: Callable[..., Any], options: Mapping[str, int]) -> None:
        self.source = source
        self.scope: dict[str, Any] = source.__globals__
        self.options = options
        self.asked: dict[str, int] = {}
        self.types: dict[str, str] = {}
        self.layouts: dict[str, Layout] = {}
        self.classes = Object.declared | _classes_near(self.scope)
        self.called: dict[str, Any] = {}
        self.first_line = source.__code__.co_firstlineno
        self.tree = typing.cast(ast.FunctionDef, ast.parse(_text(source)).body[0])

    def fail(self, node: ast.AST, why: str) -> typing.NoReturn:
        line = self.first_line + getattr(node, "lineno", 1) - 1
        where = f"{self.source.__module__}.{self.source.__name__}, line {line}"
        raise InputError(f"{where}: {why}")

    def function(self) -> Function:
        hints = typing.get_type_hints(self.source, localns=self.classes)
        params = tuple(a.arg for a in self.tree.args.args)
        for name in params:
            self.types[name] = _class_name(hints.get(name, int))
        body = self.body(self.tree.body)
        doc = inspect.getdoc(self.source) or ""
        role = self.source.__dict__["lockscape_role"]
        return Function(self.tree.name, params, body, role, doc, dict(self.types))

    # --- statements -------------------------------------------------------------------------------------

    def body(self, statements: list[ast.stmt]) -> Body:
        found: list[Stmt] = []
        for statement in statements:
            found.extend(self.statement(statement))
        return tuple(found)

    def statement(self, node: ast.stmt) -> list[Stmt]:
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                return []
            case ast.Expr(value=value):
                return self.effect(value)
            case ast.Assign(targets=[target], value=value):
                return [self.assign(target, value)]
            case ast.AnnAssign(target=ast.Name(id=name), annotation=hint, value=ast.expr() as value):
                self.types[name] = ast.unparse(hint).strip("'\"")
                return [Assign(name, self.expr(value))]
            case ast.AugAssign(target=target, op=op, value=value):
                return [self.augmented(node, target, _BINARY.get(type(op), ""), self.expr(value))]
            case ast.If(test=test, body=body, orelse=other):
                return self.branch(test, body, other)
            case ast.While(test=test, body=body, orelse=[]):
                return [While(self.expr(test), self.body(body))]
            case ast.Break():
                return [Break()]
            case ast.Return(value=value):
                return [Return(self.expr(value) if value is not None else None)]
            case ast.With(items=items, body=statements):
                inner = self.body(statements)
                for item in reversed(items):
                    inner = (self.with_block(item.context_expr, inner),)
                return list(inner)
        self.fail(node, f"the language has no {type(node).__name__}")

    def assign(self, target: ast.expr, source: ast.expr) -> Stmt:
        if isinstance(source, ast.Call) and self.operation(source.func) == "add_return":
            if not isinstance(target, ast.Name) or len(source.args) != 2:
                self.fail(source, "write it as: variable = add_return(field, value)")
            self.types.setdefault(target.id, "")
            return Add(self.field(source.args[0]), self.expr(source.args[1]), target.id)
        value = self.expr(source)
        if isinstance(target, ast.Name):
            cls = self.class_of(value)
            if cls or target.id not in self.types:
                self.types[target.id] = cls
            return Assign(target.id, value)
        return Store(self.field(target), value)

    def augmented(self, node: ast.AST, target: ast.expr, op: str, value: Expr) -> Stmt:
        if isinstance(target, ast.Name):
            return Assign(target.id, Binary(op, Var(target.id), value))
        if op not in "+-" or not op:
            self.fail(node, "a field can be changed by += and -= only")
        if op == "-":
            value = Const(-value.value, value.name and f"-{value.name}") if isinstance(value, Const) \
                else Binary("-", Const(0), value)  # fmt: skip
        return Add(self.field(target), value)

    def branch(self, test: ast.expr, body: list[ast.stmt], other: list[ast.stmt]) -> list[Stmt]:
        condition = self.expr(test)
        if isinstance(condition, Const):
            return list(self.body(body if condition.value else other))
        return [If(condition, self.body(body), self.body(other))]

    def effect(self, value: ast.expr) -> list[Stmt]:
        if isinstance(value, ast.Call) and self.operation(value.func) == "step":
            name, *times = value.args
            return [Step(self.text(name), self.expr(times[0]) if times else None)]
        return [Do(self.expr(value))]

    def with_block(self, call: ast.expr, body: Body) -> Stmt:
        if not isinstance(call, ast.Call):
            self.fail(call, f"with {ast.unparse(call)}: expected section(), hold(), masked() or atomic()")
        match self.operation(call.func), call.args:
            case "section", [name, *targets]:
                return Section(self.text(name), tuple(self.field(t) for t in targets), body)
            case "hold", [lock, where, *mode]:
                chosen = self.text(mode[0]) if mode else "exclusive"
                if chosen not in MODES:
                    self.fail(call, f"mode {chosen!r}: one of {', '.join(MODES)}")
                return Hold(self.text(lock), self.expr(where), chosen, body)
            case "masked", []:
                return Hold("", None, "mask", body)
            case "atomic", []:
                return Hold("", None, "preempt", body)
        self.fail(
            call, "with takes section(name, parts...), hold(lock, object[, mode]), masked() or atomic()"
        )

    # --- expressions ------------------------------------------------------------------------------------

    def expr(self, node: ast.expr) -> Expr:
        match node:
            case ast.Constant(value=bool() | int() as value):
                return Const(int(value))
            case ast.Name(id=name):
                return self.name(node, name)
            case ast.Attribute():
                return self.field(node)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _folded(_BINARY[type(op)], self.expr(left), self.expr(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _BINARY:
                return _folded(_BINARY[type(op)], self.expr(left), self.expr(right))
            case ast.BoolOp(op=op, values=values):
                return _logic("and" if isinstance(op, ast.And) else "or", [self.expr(v) for v in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _logic("not", [self.expr(operand)])
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
                return Const(-value)
            case ast.Call():
                return self.call(node)
        self.fail(node, f"cannot be computed here: {ast.unparse(node)}")

    def name(self, node: ast.AST, name: str) -> Expr:
        if name in self.types or name not in self.scope:
            if name not in self.types:
                self.fail(node, f"{name} has no value yet")
            return Var(name)
        value = self.scope[name]
        if isinstance(value, int):
            return Const(int(value), name)
        self.fail(node, f"{name} is neither a variable nor an integer constant")

    def field(self, node: ast.expr) -> Field:
        if not isinstance(node, ast.Attribute):
            self.fail(node, f"expected object.part, found {ast.unparse(node)}")
        base = self.expr(node.value)
        cls = self.class_of(base)
        if not cls:
            self.fail(node, f"the class of {ast.unparse(node.value)} is not known: annotate the variable")
        shape = self.layout(node, cls)
        if node.attr not in shape.fields and node.attr not in shape.collections:
            self.fail(
                node, f"{cls} has no part {node.attr!r}: {', '.join([*shape.fields, *shape.collections])}"
            )
        return Field(base, cls, node.attr)

    def layout(self, node: ast.AST, cls: str) -> Layout:
        if cls not in self.layouts:
            if cls not in self.classes:
                self.fail(node, f"no object class {cls!r}")
            self.layouts[cls] = layout(self.classes[cls])
        return self.layouts[cls]

    def call(self, node: ast.Call) -> Expr:
        name = self.operation(node.func)
        if name:
            return self.built_in(node, name)
        target = self.target(node.func)
        if target is None or "lockscape_role" not in getattr(target, "__dict__", {}):
            self.fail(node, f"{ast.unparse(node.func)} is not a function of the simulator")
        wanted = len(inspect.signature(target).parameters)
        if wanted != len(node.args):
            self.fail(node, f"{target.__name__} takes {wanted} arguments, not {len(node.args)}")
        self.called[target.__name__] = target
        self.classes |= {n: c for n, c in _classes_near(target.__globals__).items() if n not in self.scope}
        return Call(target.__name__, tuple(self.expr(a) for a in node.args))

    def target(self, node: ast.expr) -> Any:
        """Return what a called name means to Python: a function of this module, or of an imported one."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self.scope.get(node.value.id)
            return vars(module).get(node.attr) if isinstance(module, types.ModuleType) else None
        return self.scope.get(node.id) if isinstance(node, ast.Name) else None

    def built_in(self, node: ast.Call, name: str) -> Expr:
        if name == "option":
            key = self.text(node.args[0])
            if key not in self.options:
                self.fail(node, f"no build option {key!r}: {', '.join(sorted(self.options))}")
            self.asked[key] = self.options[key]
            return Const(int(self.options[key]))
        if name in ("the", "the_of", "new"):
            return self.object(node, name)
        arity = OPERATIONS[name].arity
        if arity >= 0 and arity != len(node.args):
            self.fail(node, f"{name} takes {arity} arguments, not {len(node.args)}")
        args = tuple(self.expr(a) for a in node.args)
        return Op(name, args, self.result_class(name, args))

    def object(self, node: ast.Call, name: str) -> Expr:
        cls = ast.unparse(node.args[0]) if node.args else ""
        if cls not in self.classes:
            self.fail(node, f"{name}() takes an object class, not {cls!r}")
        rest = tuple(self.expr(a) for a in node.args[1:])
        if name == "the":
            return The(cls, rest[0] if rest else None)
        return Op(name, rest, cls)

    def operation(self, node: ast.expr) -> str:
        value = self.scope.get(node.id) if isinstance(node, ast.Name) else None
        return value.name if isinstance(value, Operation) else ""

    def text(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        self.fail(node, f"expected a name in quotes, found {ast.unparse(node)}")

    # --- classes ----------------------------------------------------------------------------------------

    def class_of(self, value: Expr) -> str:
        match value:
            case Var(name):
                return self.types.get(name, "")
            case The(cls):
                return cls
            case Op(cls=cls):
                return cls
            case Field(cls=cls, name=name):
                infos = layout(self.classes[cls]).infos
                return infos[name].refers if name in infos else ""
            case Call(name):
                hint = typing.get_type_hints(self.called[name], localns=self.classes).get("return", int)
                return _class_name(hint)
        return ""

    def result_class(self, name: str, args: tuple[Expr, ...]) -> str:
        if name in _VALUES_OF_COLLECTION and args and isinstance(args[0], Field):
            kinds = layout(self.classes[args[0].cls]).kinds
            return kinds[args[0].name].values if args[0].name in kinds else ""
        return "Process" if name == "current" else ""


def _classes_near(scope: Mapping[str, Any]) -> dict[str, type[Object]]:
    """Return the object classes that a module can mean: its own, and those declared beside one that it uses.

    Names are looked up here first, so that two kernels may have different classes of one name.
    """
    own = _object_classes(scope)
    found: dict[str, type[Object]] = {}
    for module in dict.fromkeys(c.__module__ for c in own.values()):
        found |= _object_classes(vars(sys.modules[module]))
    return found | own


def _object_classes(names: Mapping[str, Any]) -> dict[str, type[Object]]:
    found = (c for c in names.values() if isinstance(c, type) and issubclass(c, Object) and c is not Object)
    return {c.__name__: c for c in found}


def _class_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and issubclass(hint, Object) else ""


def _folded(op: str, left: Expr, right: Expr) -> Expr:
    """Return a constant when both sides are: build options disappear before a port sees them."""
    if isinstance(left, Const) and isinstance(right, Const) and not (op in ("//", "%") and right.value == 0):
        return Const(int(_COMPUTE[op](left.value, right.value)))
    return Binary(op, left, right)


def _logic(op: str, parts: list[Expr]) -> Expr:
    if op == "not":
        known = parts[0]
        return Const(int(not known.value)) if isinstance(known, Const) else Logic("not", (known,))
    deciding = op == "or"
    kept: list[Expr] = []
    for part in parts:
        if isinstance(part, Const):
            if bool(part.value) == deciding:
                return Const(int(deciding)) if not kept else Logic(op, (*kept, part))
            continue
        kept.append(part)
    if not kept:
        return Const(int(not deciding))
    return kept[0] if len(kept) == 1 else Logic(op, tuple(kept))
