"""What a CPU has units for: in a precision without them it is slower than in fp32."""

import sys

import torch

UNITS = {  # names of torch's capabilities, x86 and Arm
    "bf16": ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16"),
    "int8": ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "dot"),
}


def units(precision: str) -> list[str]:
    """The units of this chip for a precision, of which fp32 needs none; empty: it has none."""
    has = torch.cpu.get_capabilities()
    return [name for name in UNITS.get(precision, ()) if has.get(name)]


def is_slow(precision: str) -> bool:
    """Whether this chip has no units for a precision that needs some."""
    return precision in UNITS and not units(precision)


def told() -> str:
    """The units of this chip in words."""
    return "; ".join(f"{name}: {', '.join(units(name)) or 'no units'}" for name in UNITS)


def warn_if_slow(precision: str) -> None:
    """Say in a line on stderr that a precision is likely slower here than fp32."""
    if is_slow(precision):
        print(f"this chip has no units for {precision}: fp32 is likely faster", file=sys.stderr)
