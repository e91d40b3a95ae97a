"""Opcodes: how much a pickle would make, told before it is read.

A pickle is a program for a machine with a stack and a memo. What it takes from the memo again and
again may grow without bound: a pair of one pair, 40 times over, is a key that hashes for years. So
its opcodes are followed here with sizes in place of values.
"""

import pickle
from dataclasses import dataclass
from pickletools import OpcodeInfo, genops, stackslice
from typing import Any, BinaryIO

ENLARGED, FREE = 20, 10**6  # what is taken from the memo: so often its bytes, and as much always
DEEPEST = 500  # tuples in tuples: what hashes them calls itself
TAKEN = {"GET", "BINGET", "LONG_BINGET"}
NOTED = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
FILLED = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
CALLED = {"REDUCE", "NEWOBJ"}
REST = """PROTO FRAME MARK STOP NONE NEWTRUE NEWFALSE GLOBAL STACK_GLOBAL BINPERSID
EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET TUPLE TUPLE1 TUPLE2 TUPLE3 LIST DICT FROZENSET
INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT BYTEARRAY8
UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 STRING BINSTRING SHORT_BINSTRING
BINBYTES SHORT_BINBYTES BINBYTES8"""
KNOWN = TAKEN | NOTED | FILLED | CALLED | {*REST.split()}
LONGEST = 1000  # letters of a text that is kept


@dataclass(slots=True, eq=False)
class Thing:
    """What a pickle would make: its size, all in it written out, and how deep it is.

    value: a number or a short text; parts: what it was put together of.
    """

    size: int = 1
    depth: int = 0
    value: Any = None
    parts: list["Thing"] | None = None


MARK, FLOAT = Thing(), Thing()  # the same each time: curves are long


class Opcodes:
    """What one pickle of a file makes; the file is left at its end.

    UnpicklingError for one that makes more than befits its size.
    """

    def __init__(self, file: BinaryIO):
        self.stack: list[Thing] = []
        self.memo: dict[int, Thing] = {}
        self.calls: list[tuple[Thing, Thing]] = []  # what is called, by its name, and with what
        self.storages: list[list[Any]] = []  # of torch: "storage", type, key, device, count
        self.taken = 0
        for count, (code, value, place) in enumerate(genops(file)):
            self._follow(code, value, count)
            if self.taken > FREE + ENLARGED * (place or 0):
                raise pickle.UnpicklingError("it repeats itself without end (valid: plain dicts)")

    def _follow(self, code: OpcodeInfo, value: Any, count: int) -> None:
        if code.name not in KNOWN:
            raise pickle.UnpicklingError(f"it has an opcode {code.name} (valid: of plain dicts)")
        if code.name in TAKEN:
            self.stack.append(self.memo[int(value)])
            self.taken += self.stack[-1].size
        elif code.name in NOTED:
            self._note(len(self.memo) if value is None else int(value), count)
        elif code.name == "MARK":
            self.stack.append(MARK)
        elif code.stack_after:
            self._make(code, value)

    def _note(self, index, count):
        if not 0 <= index <= count:  # the reader's memo is an array
            raise pickle.UnpicklingError(f"it has index {index} in its memo (valid: one by one)")
        self.memo[index] = self.stack[-1]

    def _make(self, code, value):
        used = self._used(code.stack_before)
        if code.name in CALLED:
            self.calls.append((used[0], used[1]))
        elif code.name == "BINPERSID":
            self.storages.append([part.value for part in used[0].parts or ()])
        elif code.name == "STACK_GLOBAL":
            value = f"{used[0].value} {used[1].value}"
        self.stack.append(_filled(*used) if code.name in FILLED else _new(used, value))
        if self.stack[-1].depth > DEEPEST:
            raise pickle.UnpicklingError(f"it is more than {DEEPEST} deep (valid: plain dicts)")

    def _used(self, before):
        """What an opcode takes from the stack, in order."""
        used: list[Thing] = []
        if stackslice in before:
            while (thing := self.stack.pop()) is not MARK:
                used.append(thing)
        for _ in range(len(before) - 2 * (stackslice in before)):
            used.append(self.stack.pop())
        if MARK in used:
            raise pickle.UnpicklingError("it takes what is not there (valid: plain dicts)")
        return used[::-1]


def _new(used, value):
    if used:
        size, depth = sum(thing.size for thing in used), max(thing.depth for thing in used)
        return Thing(1 + size, 1 + depth, value, used)
    if isinstance(value, float):
        return FLOAT
    if isinstance(value, str | bytes):
        return Thing(1 + len(value), 0, value if len(value) <= LONGEST else None)
    return Thing(1 + (value.bit_length() // 8 if isinstance(value, int) else 0), 0, value)


def _filled(whole, *more):
    if whole is FLOAT:
        raise pickle.UnpicklingError("it fills a number (valid: plain dicts)")
    whole.size += sum(thing.size for thing in more)
    whole.depth = max([whole.depth, *(1 + thing.depth for thing in more)])
    whole.parts = whole.parts or []
    whole.parts += more
    return whole
