"""The kernel's source as Python generators for SimPy, with the rules of a plan around the places they name.

This reads the same source as the simulator and shares nothing with its parser, its locking pass, its lowering
or its binary form: Python itself runs the functions. Each takes the context that runs it as its first argument;
what takes time or can wait is a ``yield from``.
"""

import ast
import functools
import importlib
import inspect
import textwrap
import types
from collections.abc import Callable, Mapping

from lockscape.kernel.build import MASKED_SECTIONS, MODULES
from lockscape.program.language import Operation
from lockscape.program.objects import Object
from lockscape.workloads import stress, user
from simpy_kernel_machine import Abandoned


class Rules:
    """A plan's rules by anchor; each has a number, by which generated code names it."""

    def __init__(self, plan: Mapping, preemptible: int) -> None:
        self.preemptible = preemptible
        self.covered = plan.get("covered", {})
        self.modules = [
            importlib.import_module(f"lockscape.ports.{name}") for name in plan.get("new_code", ())
        ]
        self.locks = {lock["name"]: lock for lock in plan.get("lock", ())}
        self.numbered = list(plan.get("rule", ()))
        self.at: dict[str, list[int]] = {}
        for number, rule in enumerate(self.numbered):
            self.at.setdefault(" ".join(rule["at"].split()), []).append(number)
        self.masking = self.add({"mode": "mask"})
        self.keeping = self.add({"mode": "preempt"})

    def add(self, rule: Mapping) -> int:
        self.numbered.append(rule)
        return len(self.numbered) - 1

    def of_section(self, function: str, name: str) -> list[int]:
        every = self.at.get(f"section {function}/{name}", [])
        listed = [k for k in every if self.numbered[k].get("mode") != "barrier"]  # takes no time
        found = [k for k in listed if self.numbered[k].get("mode") != "cas"]
        # an interrupt that changes what a section on versions, or a loop of compare-and-swap, has read only has
        # it done again
        masked = len(found) < len(listed) or any(
            self.locks.get(self.numbered[k].get("lock"), {}).get("masks") or self.on_version(k) for k in found
        )
        # an interrupt handler comes there, too: even one processor must not be interrupted
        if f"{function}/{name}" in MASKED_SECTIONS and not masked:
            return [self.masking, *found]
        alone = self.preemptible and not listed and f"{function}/{name}" not in self.covered
        return [self.keeping] if alone else found

    def on_version(self, number: int) -> bool:
        """Say whether a rule is a section on a version."""
        rule = self.numbered[number]
        return rule.get("mode", "exclusive") == "exclusive" and (
            self.locks.get(rule.get("lock"), {}).get("kind") == "version"
        )

    def swaps(self, function: str, name: str) -> bool:
        """Say whether additions of a section are made by compare-and-swap."""
        listed = self.at.get(f"section {function}/{name}", [])
        return any(self.numbered[k].get("mode") == "cas" for k in listed)

    def of_function(self, function: str, role: str) -> list[int]:
        # a new process begins in the middle of a switch, and does not come in from outside
        outside = role in ("entry", "interrupt") and function != "start_process"
        return [*(self.at.get("entry", []) if outside else ()), *self.at.get(f"body {function}", [])]


class Generators(dict[str, Callable]):
    """Every function of the kernel and of user mode as a generator function, made when it is first asked for.

    `operations`: the class of contexts, whose methods do what the language's operations mean.
    """

    def __init__(self, rules: Rules, options: Mapping[str, int], operations: type) -> None:
        super().__init__()
        self.how = rules, options, operations
        self.sources = {
            source.__name__: source
            for module in (*MODULES, user, stress, *rules.modules)
            for source in vars(module).values()
            if "lockscape_role" in getattr(source, "__dict__", {}) and source.__module__ == module.__name__
        }

    def __missing__(self, name: str) -> Callable:
        self[name] = found = _Maker(self.sources[name], *self.how).function(self)
        return found


@functools.cache
def _text(source: Callable) -> str:
    return textwrap.dedent(inspect.getsource(source))


class _Maker(ast.NodeTransformer):
    """Rewrites one function."""

    def __init__(self, source, rules: Rules, options: Mapping[str, int], operations: type) -> None:
        self.source, self.rules, self.options, self.operations = source, rules, options, operations
        self.held = 0
        self.swapping = False

    def function(self, made: dict[str, Callable]) -> Callable:
        (tree,) = ast.parse(_text(self.source)).body
        assert isinstance(tree, ast.FunctionDef)
        name = self.source.__name__
        body = self.statements(tree.body)
        body = self.guarded(body, self.rules.of_function(name, self.source.__dict__["lockscape_role"]))
        always = ast.parse("if False:\n yield").body  # a generator, also where nothing takes time
        arguments = [ast.arg("x_"), *(ast.arg(a.arg) for a in tree.args.args)]
        new = ast.FunctionDef(
            name, ast.arguments([], arguments, None, [], [], None, []), [*always, *body], []
        )
        module = ast.fix_missing_locations(ast.Module([new], []))
        scope = {**self.source.__globals__, "made_": made, "Abandoned_": Abandoned}
        exec(compile(module, f"<{name} for SimPy>", "exec"), scope)
        found: Callable = scope[name]
        return found

    # --- statements -------------------------------------------------------------------------------------

    def statements(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        return [new for node in nodes for new in self.statement(node)] or [ast.Pass()]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        around = [
            k
            for name in self.calls(node)
            for k in self.rules.at.get(f"call {self.source.__name__}/{name}", [])
        ]
        if isinstance(node, ast.With):
            return self.block(node)
        if isinstance(node, ast.If):
            test = self.visit(node.test)
            if isinstance(test, ast.Constant):  # a build option: the other branch is not built
                return self.statements(node.body if test.value else node.orelse)
            other = self.statements(node.orelse) if node.orelse else []
            new: list[ast.stmt] = [ast.If(test, self.statements(node.body), other)]
        elif isinstance(node, ast.While):
            new = [ast.While(self.visit(node.test), self.statements(node.body), [])]
        elif isinstance(node, ast.AnnAssign):
            new = [ast.Assign([self.visit(node.target)], self.visit(node.value))]
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            # the sum is made at once, after what is added has been computed
            sign = -1 if isinstance(node.op, ast.Sub) else 1
            of, amount = self.visit(node.target.value), self.visit(node.value)
            parts = [of, ast.Constant(node.target.attr), ast.Constant(sign), amount]
            new = [ast.Expr(self.own("add_by_swap" if self.swapping else "add", parts))]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            target, value = node.targets[0], self.visit(node.value)
            new = [ast.Expr(self.own("store", [self.visit(target.value), ast.Constant(target.attr), value]))]
        else:
            new = [self.visit(node)]
        return self.guarded(new, around)

    def block(self, node: ast.With) -> list[ast.stmt]:
        name = node.items[0].context_expr.args
        before, self.swapping = (
            self.swapping,
            bool(name)
            and isinstance(name[0], ast.Constant)
            and self.rules.swaps(self.source.__name__, name[0].value),
        )
        body = self.statements(node.body)
        self.swapping = before
        for item in reversed(node.items):
            call = item.context_expr
            assert isinstance(call, ast.Call)
            name = self.meaning(call.func).name
            if name == "section":
                body = self.guarded(body, self.rules.of_section(self.source.__name__, call.args[0].value))
            elif name == "masked":
                body = self.guarded(body, [self.rules.masking])
            elif name == "hold":
                lock, where, *mode = call.args
                rule = {"lock": lock.value, "mode": mode[0].value if mode else "exclusive"}
                body = self.guarded(body, [self.rules.add(rule)], self.visit(where))
            else:
                assert name == "atomic", name
                body = self.guarded(body, [self.rules.keeping] if self.rules.preemptible else [])
        return body

    def guarded(
        self, body: list[ast.stmt], numbers: list[int], where: ast.expr | None = None
    ) -> list[ast.stmt]:
        """Put statements under rules, the first one outermost; a reader's may be done again."""
        if numbers:
            assert not any(_breaks(node) for node in body)
        for number in reversed(numbers):
            self.held += 1
            guard = f"guard_{self.held}"
            local = where or ast.Call(ast.Name("locals", ast.Load()), [], [])
            begin = ast.Call(
                _part("guard"), [ast.Constant(number), local, ast.Constant(where is not None)], []
            )
            enter = ast.YieldFrom(
                ast.Call(ast.Attribute(ast.Name(guard, ast.Load()), "enter", ast.Load()), [], [])
            )
            leave = ast.YieldFrom(
                ast.Call(ast.Attribute(ast.Name(guard, ast.Load()), "leave", ast.Load()), [], [])
            )
            handlers: list[ast.ExceptHandler] = []
            keep: list[ast.stmt] = []
            if self.rules.on_version(number):
                # it is done again: each variable then begins as it was
                caught = ast.Call(ast.Attribute(ast.Name(guard, ast.Load()), "caught", ast.Load()), [], [])
                handlers = [ast.ExceptHandler(ast.Name("Abandoned_", ast.Load()), None, [ast.Expr(caught)])]
                for name in sorted({n.id for s in body for n in ast.walk(s) if _is_set(n)}):
                    keep += ast.parse(f"kept_{self.held}_{name} = locals().get({name!r})").body
                    body = [*ast.parse(f"{name} = kept_{self.held}_{name}").body, *body]
            body = [
                ast.Assign([ast.Name(guard, ast.Store())], begin),
                *keep,
                ast.While(enter, [ast.Try(body, handlers, [], [ast.Expr(leave)])], []),
            ]
        return body

    # --- expressions ------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.expr:
        target = self.meaning(node.func)
        if isinstance(target, Operation):
            if target.name == "option":
                return ast.Constant(int(self.options[node.args[0].value]))
            if target.name == "compare_and_swap":
                place, *values = node.args
                parts = [self.visit(place.value), ast.Constant(place.attr), *(self.visit(v) for v in values)]
                return self.own(target.name, parts)
            if target.name == "add_return":
                place, amount = node.args
                parts = [self.visit(place.value), ast.Constant(place.attr), self.visit(amount)]
                return self.own(target.name, [*parts, ast.Constant(self.swapping)])
            return self.own(target.name, [self.visit(a) for a in node.args])
        assert "lockscape_role" in target.__dict__, ast.unparse(node)
        function = ast.Subscript(ast.Name("made_", ast.Load()), ast.Constant(target.__name__), ast.Load())
        return ast.YieldFrom(
            ast.Call(function, [ast.Name("x_", ast.Load()), *(self.visit(a) for a in node.args)], [])
        )

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """Leave out what build options have decided."""
        deciding = isinstance(node.op, ast.Or)
        kept = []
        for part in (self.visit(value) for value in node.values):
            if not isinstance(part, ast.Constant):
                kept.append(part)
            elif bool(part.value) == deciding:
                kept.append(part)
                break
        return (
            kept[0]
            if len(kept) == 1
            else ast.BoolOp(node.op, kept)
            if kept
            else ast.Constant(int(not deciding))
        )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        inner = self.visit(node.operand)
        known = isinstance(node.op, ast.Not) and isinstance(inner, ast.Constant)
        return ast.Constant(int(not inner.value)) if known else ast.UnaryOp(node.op, inner)

    def own(self, name: str, args: list[ast.expr]) -> ast.expr:
        """Call an operation of the context; one that takes time is waited for."""
        call = ast.Call(_part(name), args, [])
        return ast.YieldFrom(call) if inspect.isgeneratorfunction(getattr(self.operations, name)) else call

    def meaning(self, node: ast.expr):
        """Return what a called name means in the source: an operation, or another function."""
        scope = self.source.__globals__
        if isinstance(node, ast.Attribute):
            assert isinstance(node.value, ast.Name)
            module = scope[node.value.id]
            assert isinstance(module, types.ModuleType)
            return vars(module)[node.attr]
        assert isinstance(node, ast.Name)
        return scope[node.id]

    def calls(self, node: ast.stmt) -> list[str]:
        """Return what a statement calls; of a branch or loop, in its test."""
        inside: list[ast.AST] = [node.test] if isinstance(node, ast.If | ast.While) else [node]
        if isinstance(node, ast.With):
            inside = []
        found = [call for each in inside for call in ast.walk(each) if isinstance(call, ast.Call)]
        means = [self.meaning(call.func) for call in found]
        return [m.name if isinstance(m, Operation) else m.__name__ for m in means if not _is_class(m)]


def _is_set(node: ast.AST) -> bool:
    """Return whether a node is a variable of the source that is set here."""
    own = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    return own and not node.id.startswith(("guard_", "kept_"))


def _is_class(value) -> bool:
    return isinstance(value, type) and issubclass(value, Object)


def _part(name: str) -> ast.expr:
    return ast.Attribute(ast.Name("x_", ast.Load()), name, ast.Load())


def _breaks(node: ast.AST) -> bool:
    """Return whether a statement leaves a loop that is around it."""
    if isinstance(node, ast.While):
        return False
    return isinstance(node, ast.Break) or any(_breaks(child) for child in ast.iter_child_nodes(node))
