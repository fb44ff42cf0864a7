# SPDX-License-Identifier: GPL-2.0-or-later
"""How the kernel reads what was written to an attribute.

Source: Linux lib/kstrtox.c (kstrtoul and its kin), lib/string_helpers.c (sysfs_streq).
"""

from __future__ import annotations

import errno
import os

ULONG_BITS = 64
_DIGITS = "0123456789abcdef"


def error(number: int) -> OSError:
    """The exception that an attribute's show or store raises for a kernel's ``return -number``."""
    return OSError(number, os.strerror(number))


def cstring(data: bytes) -> str:
    """What was written, as a C string: cut at the first NUL. Bytes that are no UTF-8 survive as surrogates."""
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def streq(written: str, name: str) -> bool:
    """sysfs_streq: equal, one trailing newline ignored."""
    return written.removesuffix("\n") == name if written.endswith("\n") else written == name


def _radix(text: str, base: int) -> tuple[str, int]:
    lower = text.lower()
    if base == 0:
        if lower.startswith("0x") and len(text) > 2 and lower[2] in _DIGITS:
            return text[2:], 16
        return text, 8 if text.startswith("0") else 10
    if base == 16 and lower.startswith("0x"):
        return text[2:], 16
    return text, base


def kstrtoul(text: str, base: int, bits: int = ULONG_BITS) -> int:
    """An unsigned number, the whole of the text but for one trailing newline.

    Raises OSError: EINVAL where it is no number, ERANGE where it does not fit ``bits``.
    """
    digits, base = _radix(text.removeprefix("+"), base)
    value = count = 0
    for char in digits.lower():
        digit = _DIGITS.find(char)
        if not 0 <= digit < base:
            break
        value = value * base + digit
        count += 1
    if count == 0:
        raise error(errno.EINVAL)
    if value >> ULONG_BITS:
        raise error(errno.ERANGE)
    if digits[count:] not in ("", "\n"):
        raise error(errno.EINVAL)
    if value >> bits:
        raise error(errno.ERANGE)
    return value


def kstrtouint(text: str, base: int) -> int:
    """As :func:`kstrtoul`, for 32 bits."""
    return kstrtoul(text, base, 32)
