"""The spellings of a secret's value, as patterns: what finds it whole, and what finds its beginning in what was cut.

A *way* is one manner of spelling all of a value: atoms in a row, one for each character, byte or letter, each a pattern
of bytes, with a gap between them.  Patterns are matched by re2, in time linear in what is searched.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote, quote_plus

import re2

from flowmetal.dataclass import dataclass

#: Bytes of a value up to which it is also found where it was encoded twice.
TWICE_BYTES_MAX = 512

#: What a value keeps as it is in the path of an address; of the rest it could make another address.
PATH_SAFE = "/:@!$&'()*+,;=~-._"

#: Memory for the automaton of one value.
PATTERN_MEMORY = 1 << 30

#: Stands for every atom behind the end of a text that was cut: no spelling of a text has this byte in it.
END = b"\xff"

#: Single characters outside of ASCII are also found in these.
_CHARSETS = (
    "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "cp1250", "cp1251", "cp1252",
    "cp1253", "cp1254", "koi8-r", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr",
)  # fmt: skip

_HTML = {"&": ("amp",), "<": ("lt",), ">": ("gt",), '"': ("quot",), "'": ("apos",)}
_SHORT = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\a": "a"}

#: What may stand between two characters of base64: line ends, as they are or escaped.
_GAP64 = r"(?:\s|\\+[rnt]|%0[AaDd]|%20)*"
#: What may stand between two bytes in hexadecimal: blanks, colons, commas, "0x" or "\x".
_GAP16 = r"(?:[\s:,_-]|\\+[rnt])*(?:0[xX]|\\+x|%)?"
_BASE64 = "[A-Za-z0-9+/_-]"
_HEX_DIGIT = "[0-9A-Fa-f]"


def _coded_byte(byte: int) -> str:
    """A character of ASCII behind the backslash of an escape, as it is or escaped once more."""
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{byte:02x}")
    number = rf"%(?:25)*{digits}|[uU](?:00|000000|\{{0*){digits}\}}?|x{digits}|0?{byte:03o}"
    return f"\\x{byte:02x}|{number}"


#: Backslashes of an escape, which another escape may have doubled; in a long value only the usual ones may.
_BACKSLASH = f"(?:{_coded_byte(0x5C)})+"
_FEW_BACKSLASHES = r"(?:\\|%(?:25)*5[Cc]|u005[Cc])+"

#: The end of a line, whichever it is; the next line may stand further in.
_LINE_END = (
    rf"(?:[\r\n]|%(?:25)*0[AaDd]"
    rf"|{_BACKSLASH}(?:{_coded_byte(ord('r'))}|{_coded_byte(ord('n'))}"
    r"|[uU](?:000|0000000|\{0*)[AaDd]\}?|x0[AaDd]|0?01[25])"
    r"|&(?:amp;)*#(?:0*1[03]|[xX]0*[AaDd]);)+[ \t]*"
)
_FEW_LINE_ENDS = rf"(?:[\r\n]|%(?:25)*0[AaDd]|{_FEW_BACKSLASHES}(?:[rn]|u000[AaDd]|x0[AaDd]|0?01[25]))+[ \t]*"

#: Atoms of a way of which its beginning is made: who has so many has it.
BEGINNING_ATOMS = 512

#: An atom that was cut; and one of several bytes, each of which may be spelled by itself.
_CUT = (
    rf"%(?:25)*{_HEX_DIGIT}?|{_BACKSLASH}(?:[uUx]\{{?)?{_HEX_DIGIT}{{0,8}}"
    r"|&(?:amp;)*#?[xX]?[0-9A-Za-z]{0,8}|'\\?"
)
_CUT_BYTES = (
    rf"(?:%(?:25)*{_HEX_DIGIT}{{2}}|{_BACKSLASH}(?:x{_HEX_DIGIT}{{2}}|u{_HEX_DIGIT}{{4}}|0?[0-7]{{3}})|[\x80-\xfe]){{0,3}}"
    rf"(?:{_CUT})?"
)
_CUT64 = r"\\+|%[02]?"
_CUT16 = rf"\\+|{_HEX_DIGIT}"

#: So many letters of base64 or bytes in hexadecimal are the beginning of a value; fewer are any text's end.
_LEAST64, _LEAST16, _LEAST_WIDE = 3, 2, 2


@dataclass(frozen=True, slots=True)
class Way:
    """One manner of spelling a value."""

    atoms: list[str]
    gap: str = ""
    before: str = ""  # what the first atoms decide of the letter before them
    after: str = ""
    cut: str = r"[^\xff]"  # what an atom leaves that was cut
    least: int = 1  # atoms that are a beginning

    def whole(self) -> str:
        """The pattern of all of it."""
        return self.before + self.gap.join(self.atoms) + self.after

    def beginning(self) -> str:
        """The pattern of a beginning, with END behind it in the place of each atom that is missing."""
        end = f"(?:{self.cut})?\\xff"
        atoms = self.atoms[:BEGINNING_ATOMS]
        atoms = atoms[: self.least] + [f"(?:{atom}|{end})" for atom in atoms[self.least :]]
        return self.before + self.gap.join(atoms)


def ways_of(value: str) -> list[Way]:
    """All ways of a text."""
    # A line ends in one of three ways, whatever the value has: what is sent over the web or typed is often changed.
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    long = len(value.encode()) > TWICE_BYTES_MAX
    ways = [Way([_character(character, long) for character in lines], cut=_CUT if value.isascii() else _CUT_BYTES)]
    ways += [Way([_wide(character, order) for character in lines], least=_LEAST_WIDE) for order in ("le", "be")]
    for text in dict.fromkeys((value, lines, lines.replace("\n", "\r\n"))):
        for form in _forms(text):
            ways += _coded(form)
    return ways


def ways_of_octets(raw: bytes) -> list[Way]:
    """All ways of bytes that are no text: as they are, in hexadecimal, in base64."""
    return [Way([_literal(raw[at : at + 1]) for at in range(len(raw))], cut=r"\xff", least=_LEAST_WIDE), *_coded(raw)]


def whole(ways: list[Way]) -> Any:
    """A compiled pattern that finds a value in any of its ways."""
    return _compiled(way.whole() for way in ways)


def beginning(ways: list[Way]) -> Any:
    """A compiled pattern that finds a beginning at the end of a text that is followed by BEGINNING_ATOMS times END."""
    return _compiled(way.beginning() for way in ways)


def _compiled(patterns: Any) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = PATTERN_MEMORY
    options.log_errors = False
    try:
        return re2.compile("|".join(f"(?:{pattern})" for pattern in patterns).encode("ascii"), options)
    except re2.error:
        raise ValueError("the value is too large for a pattern") from None


def _coded(form: bytes) -> list[Way]:
    """Base64 at its three places, and hexadecimal."""
    ways = [_base64(form, shift) for shift in range(3)]
    ways.append(Way([f"(?:{_hex(byte)})" for byte in form], _GAP16, cut=_CUT16, least=_LEAST16))
    return ways


def _forms(value: str) -> list[bytes]:
    """What may have been put into base64 or hexadecimal as a whole: the value, or a text it was written into before.

    A request that is sent back so has it in its query, in JSON, or in the base64 of a password.
    """
    raw = value.encode()
    forms = [raw]
    if len(raw) <= TWICE_BYTES_MAX:
        texts = [quote(value, safe=""), quote_plus(value), quote(value, safe=PATH_SAFE), value.replace(" ", "+")]
        texts += [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
        forms += [text.encode() for text in texts]
        forms += [_core(raw, shift) for shift in range(3)]
        forms.append(value.encode("utf-16-le"))
    return list(dict.fromkeys(forms))


def _core(raw: bytes, shift: int) -> bytes:
    """The characters of base64 that these bytes decide, where `shift` bytes of a group of three come before them."""
    return b64encode(b"\0" * shift + raw)[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]


def _literal(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _hex(byte: int) -> str:
    return "".join(_either(digit) for digit in f"{byte:02x}")


def _either(digit: str) -> str:
    """A letter in either case."""
    return f"[{digit.lower()}{digit.upper()}]" if digit.isascii() and digit.isalpha() else digit


def _wide(character: str, order: str) -> str:
    """One character in UTF-16."""
    if character == "\n":
        back, feed = (_literal(end.encode(f"utf-16-{order}")) for end in "\r\n")
        return f"(?:(?:{back})?{feed}|{back})"
    return _literal(character.encode(f"utf-16-{order}"))


def _character(character: str, long: bool) -> str:
    """One character in any of its spellings."""
    if character == "\n":
        return _FEW_LINE_ENDS if long else _LINE_END
    backslash = _FEW_BACKSLASHES if long else _BACKSLASH
    # A blank is also what a form makes of it.
    both = _spellings(" ", backslash) + _spellings("+", backslash)
    return f"(?:{'|'.join(_spellings(character, backslash) if character != ' ' else both)})"


def _spellings(character: str, backslash: str) -> list[str]:
    raw = character.encode()
    number = ord(character)
    percent = "".join(f"%(?:25)*{_hex(byte)}" for byte in raw)
    # Names of headers and hosts come back in small letters.
    ways = [_either(character) if character.isascii() and character.isalpha() else _literal(raw), percent]
    digits = "".join(map(_either, f"{number:x}"))
    ways.append(
        f"&(?:amp;)*(?:#(?:0*{number}|[xX]0*{digits}){''.join(f'|{name}' for name in _HTML.get(character, ()))});"
    )
    escapes = [rf"[uU]\{{0*{digits}\}}", f"U0{{{8 - len(f'{number:x}')}}}{digits}"]
    if character in _SHORT:
        escapes.append(_coded_byte(ord(_SHORT[character])))
    elif not character.isalnum():
        escapes += [_literal(raw), percent]
    if number < 0x10000:
        escapes.append("u" + "".join(_hex(byte) for byte in number.to_bytes(2, "big")))
    else:
        high, low = (f"{backslash}u{_hex(unit >> 8)}{_hex(unit & 255)}" for unit in _surrogates(number))
        ways.append(high + low)
    if len(raw) == 1:
        escapes += [f"x{_hex(number)}", f"0?{number:03o}"]
    else:
        ways.append("".join(f"{backslash}x{_hex(byte)}" for byte in raw))
        ways.append("".join(f"{backslash}{byte:03o}" for byte in raw))
        ways += _other_charsets(character)
    ways.append(f"{backslash}(?:{'|'.join(escapes)})")
    if character == "'":
        ways.append(r"'\\''")
    return ways


def _surrogates(number: int) -> tuple[int, int]:
    """A character's two units in UTF-16."""
    return 0xD800 + (number - 0x10000 >> 10), 0xDC00 + (number & 0x3FF)


def _other_charsets(character: str) -> list[str]:
    """A character outside of ASCII in other charsets, and its UTF-8 where it was read as Latin-1, as headers are."""
    found = {character.encode().decode("latin-1").encode()}
    for charset in _CHARSETS:
        try:
            found.add(character.encode(charset))
        except UnicodeEncodeError:
            pass
    found.discard(character.encode())
    ways = [_literal(data) for data in sorted(found)]
    return [*ways, *(f"{_BACKSLASH}x{_hex(data[0])}" for data in sorted(found) if len(data) == 1)]


def _base64(raw: bytes, shift: int) -> Way:
    """The core, with a character next to it that the value decides in part."""
    before = f"{_BASE64}?" if shift else ""
    after = "" if 8 * (shift + len(raw)) % 6 == 0 else f"(?:{_GAP64}{_BASE64})?"
    letters = [_letter(letter) for letter in _core(raw, shift).decode("ascii")]
    return Way(letters, _GAP64, before, after, _CUT64, _LEAST64)


def _letter(letter: str) -> str:
    if letter == "+":
        return "(?:[+-]|%2[Bb])"
    if letter == "/":
        return r"(?:\\?/|_|%2[Ff])"
    return letter
