"""Whether all that a server sent to other people's clients is in the grammar."""

from pathlib import Path

from tests.support.grammar import NotGrammatical, ResponseReader

_AROUND_OCTETS = 200


def violations(folder: Path) -> list[str]:
    """Read what ``recorded_twistd`` kept of each connection; [] is good.

    Where a connection was cut, the last response may lack its end.

    Returns:
        A line for each connection whose responses are not grammatical: which one,
        where, what was expected, and the octets there.
    """
    lines = []
    for path in sorted(folder.iterdir()):
        if path.suffix:
            lines.append(f"{path.name}: not sent by us: {path.read_bytes()[:200]!r}")
            continue
        octets = path.read_bytes()
        try:
            ResponseReader().feed(octets)
        except NotGrammatical as error:
            start = max(error.offset - _AROUND_OCTETS, 0)
            around = octets[start : error.offset + _AROUND_OCTETS]
            lines.append(f"connection {path.name}: {error}; around it: {around!r}")
    return lines
