"""Texts that go wrong elsewhere."""

PLAIN = "The quick brown (fox) {jumps} over 0123456789 lazy dogs & $%^ ~`'\"|<>?!\n"
MIXED = "héllo Wörld\tПривет, мир 世界 🙂👩‍👩‍👧 e\u0301 n\u0303 łódź ﷽ ẞ €\n"
REPEATED = "aaaa  bbbb ---- ÄÄää ЖЖжж 世世世 🙂🙂\n"


def many_characters(count: int, start: int = 0x4E00, line: int = 40) -> str:
    """`count` different CJK characters, in lines."""
    chars = [chr(start + number) for number in range(count)]
    return "".join("".join(chars[place : place + line]) + "\n" for place in range(0, count, line))
