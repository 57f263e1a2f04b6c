"""The expressions of declared features: one small language, read once, evaluated over arrays or written as SQL.

`amount / customer_mean_30d`, `(kind == 'phone') & (hour < 6)`, `where(a > b, a, b)`. What cannot be known is NaN here and
NULL in SQL; every comparison with it is false, but `!=`, which is true. Dividing by zero, the root of a negative and the
logarithm of what is not above zero are not known.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numexpr
import numpy as np
from numpy.typing import NDArray

FUNCTIONS: Final = {"abs": 1, "ceil": 1, "floor": 1, "log": 1, "sqrt": 1, "where": 3}
"""Each with how many arguments it takes."""
MAX_LENGTH: Final = 500
_ARITHMETIC: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_LOGIC: Final = {ast.BitAnd: ("&", "AND"), ast.BitOr: ("|", "OR")}
_ORDER: Final = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=", ast.NotEq: "<>"}
_NAN: Final = "nan_"
_GUARDS: Final = {"sqrt": ">=", "log": ">"}
_SQL_NAMES: Final = {"log": "ln"}


class BadExpressionError(ValueError):
    """An expression that is not understood; the message says what to write instead."""


class Expression(msgspec.Struct, frozen=True):
    """A checked expression. `names`: what it reads, sorted. `texts`: the (name, text) pairs it compares."""

    source: str
    names: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    logical: bool

    def over(self, code: Callable[[str, str], int]) -> Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]:
        """Compiled for columns of numbers; texts stand there as the numbers that `code(column, text)` gives."""
        written = ast.unparse(_Numbers(code).visit(ast.parse(self.source, mode="eval")))
        names, compiled = _compiled(written)
        nan = np.array(np.nan)
        return lambda columns: compiled(*[nan if name == _NAN else columns[name] for name in names])

    def sql(self, column: Callable[[str], str]) -> str:
        """As SQL of any dialect, a DOUBLE or a BOOLEAN; `column` writes a name."""
        return _sql(ast.parse(self.source, mode="eval").body, column)


@lru_cache(maxsize=1024)
def _compiled(written: str) -> tuple[list[str], Any]:
    """With the names that are left when what is constant was computed."""
    names = numexpr.necompiler.getExprNames(written, {})[0]
    return names, numexpr.NumExpr(written, [(name, np.float64) for name in names])


def read(source: str, known: Sequence[str], texts: Sequence[str] = ()) -> Expression:
    """Read and check; `known`: the names there are, `texts`: those of them that hold text. Raises BadExpressionError."""
    if len(source) > MAX_LENGTH:
        raise BadExpressionError(f"is longer than {MAX_LENGTH} characters: declare a part of it as a feature")
    try:
        body = ast.parse(source, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError, ValueError):
        raise BadExpressionError(
            "is not an expression: write, for example, (amount > 5) & (hour < 6)"
        ) from None
    check = _Check(frozenset(known), frozenset(texts))
    kind = check.kind(body)
    if kind == "text":
        raise BadExpressionError("gives a text: compare it to another, or give a number")
    logical = kind == "truth"
    return Expression(" ".join(source.split()), tuple(sorted(check.names)), tuple(check.texts), logical)


class _Check:
    """What an expression reads, and of which kind each part is: "number", "truth" or "text"."""

    def __init__(self, known: frozenset[str], text_names: frozenset[str]) -> None:
        self._known = known
        self._text_names = text_names
        self.names: set[str] = set()
        self.texts: list[tuple[str, str]] = []

    def kind(self, node: ast.expr) -> str:
        """Checks it, too."""
        check = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.BinOp: self._operation,
            ast.UnaryOp: self._sign,
            ast.Compare: self._comparison,
            ast.Call: self._call,
        }.get(type(node))
        if check is None:
            raise _not_understood(node)
        found: str = check(node)  # type: ignore[operator]
        return found

    def _constant(self, node: ast.Constant) -> str:
        if isinstance(node.value, str):
            return "text"
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise _not_understood(node)
        return "number"

    def _operation(self, node: ast.BinOp) -> str:
        if type(node.op) in _ARITHMETIC:
            return self._both(node.left, node.right, "number", "number")
        if type(node.op) in _LOGIC:
            return self._both(node.left, node.right, "truth", "truth")
        raise _not_understood(node)

    def _sign(self, node: ast.UnaryOp) -> str:
        if not isinstance(node.op, ast.USub | ast.Invert):
            raise _not_understood(node)
        return self._of(node.operand, "number" if isinstance(node.op, ast.USub) else "truth")

    def _name(self, node: ast.Name) -> str:
        name = node.id
        if name not in self._known:
            raise BadExpressionError(
                f"{name} is not known here; there are {', '.join(sorted(self._known)[:20])}"
            )
        self.names.add(name)
        return "text" if name in self._text_names else "number"

    def _of(self, node: ast.expr, wanted: str) -> str:
        if (found := self.kind(node)) != wanted:
            raise BadExpressionError(f"{ast.unparse(node)} is a {found}, where a {wanted} is needed")
        return wanted

    def _both(self, left: ast.expr, right: ast.expr, wanted: str, result: str) -> str:
        self._of(left, wanted)
        self._of(right, wanted)
        return result

    def _comparison(self, node: ast.Compare) -> str:
        if len(node.ops) > 1 or type(node.ops[0]) not in _ORDER:
            raise _not_understood(node)
        left, op, right = node.left, node.ops[0], node.comparators[0]
        if isinstance(left, ast.Name) and self.kind(left) == "text":
            if not isinstance(op, ast.Eq | ast.NotEq) or not isinstance(right, ast.Constant):
                raise BadExpressionError(f"{left.id} is a text: compare it by == or != to a 'text'")
            self._of(right, "text")
            self.texts.append((left.id, str(right.value)))
            return "truth"
        return self._both(left, right, "number", "truth")

    def _call(self, node: ast.Call) -> str:
        name, args = ast.unparse(node.func), node.args
        if FUNCTIONS.get(name) != len(args) or node.keywords:
            raise BadExpressionError(
                f"{name}() of {len(args)} is not known; there are {', '.join(FUNCTIONS)}"
            )
        if name == "where":
            self._of(args[0], "truth")
            return self._both(args[1], args[2], "number", "number")
        return self._of(args[0], "number")


def _not_understood(node: ast.AST) -> BadExpressionError:
    return BadExpressionError(
        f"{ast.unparse(node)} is not understood: use numbers, + - * / < <= > >= == != & | ~ and ( )"
    )


class _Numbers(ast.NodeTransformer):
    """The same expression for numexpr: texts as numbers, and NaN where nothing is known."""

    def __init__(self, code: Callable[[str, str], int]) -> None:
        self._code = code

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        left, right = node.left, node.comparators[0]
        if isinstance(left, ast.Name) and isinstance(right, ast.Constant) and isinstance(right.value, str):
            node.comparators = [ast.Constant(self._code(left.id, right.value))]
            return node
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Div):
            node.right = _guarded(node.right, ast.NotEq())
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _GUARDS:
            node.args = [_guarded(node.args[0], ast.GtE() if node.func.id == "sqrt" else ast.Gt())]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(float(node.value)) if isinstance(node.value, int) else node


def _guarded(node: ast.expr, op: ast.cmpop) -> ast.expr:
    test = ast.Compare(node, [op], [ast.Constant(0.0)])
    return ast.Call(ast.Name("where", ast.Load()), [test, node, ast.Name(_NAN, ast.Load())], [])


def _sql(node: ast.expr, column: Callable[[str], str]) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return "'" + text.replace("'", "''") + "'"
        case ast.Constant(value=int() | float() as number):
            return f"CAST('{float(number)!r}' AS DOUBLE)"
        case ast.Name(id=name):
            return column(name)
        case ast.UnaryOp(op=op, operand=operand):
            return f"({'NOT ' if isinstance(op, ast.Invert) else '-'}{_sql(operand, column)})"
        case ast.Call(func=ast.Name(id=name), args=args):
            return _sql_call(name, [_sql(one, column) for one in args])
    return _sql_of_two(node, column)


def _sql_of_two(node: ast.expr, column: Callable[[str], str]) -> str:
    if isinstance(node, ast.Compare):
        left, right = _sql(node.left, column), _sql(node.comparators[0], column)
        unknown = "TRUE" if isinstance(node.ops[0], ast.NotEq) else "FALSE"
        return f"coalesce({left} {_ORDER[type(node.ops[0])]} {right}, {unknown})"
    assert isinstance(node, ast.BinOp), node
    left, right, op = _sql(node.left, column), _sql(node.right, column), type(node.op)
    if op is ast.Div:
        return f"({left} / nullif({right}, 0))"
    return f"({left} {_ARITHMETIC[op] if op in _ARITHMETIC else _LOGIC[op][1]} {right})"


def _sql_call(name: str, args: list[str]) -> str:
    if name == "where":
        return f"(CASE WHEN {args[0]} THEN {args[1]} ELSE {args[2]} END)"
    if name in _GUARDS:
        return f"{_SQL_NAMES.get(name, name)}(CASE WHEN {args[0]} {_GUARDS[name]} 0 THEN {args[0]} END)"
    return f"CAST({name}({args[0]}) AS DOUBLE)"
