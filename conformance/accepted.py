"""The differences that are meant to be, from accepted.txt: `sequence | statement | reply of brokerd | reason`."""

import pathlib


class Accepted:
    """Statements by their text; `*` as statement or reply stands for any."""

    def __init__(self, path):
        self.entries = {}
        self.used = set()
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = [field.strip() for field in line.split(" | ")]
            if len(fields) != 4 or not all(fields):
                raise SystemExit(f"{path}:{number}: expected `sequence | statement | reply | reason`")
            self.entries.setdefault((fields[0], fields[1]), []).append((number, fields[2]))

    def allows(self, sequence, statement, reply):
        for key in ((sequence, statement), (sequence, "*")):
            for number, expected in self.entries.get(key, []):
                if expected in ("*", reply.strip()):
                    self.used.add(number)
                    return True
        return False

    def unused(self, sequences):
        """Lines whose difference did not show, of the sequences that ran."""
        lines = []
        for (sequence, statement), entries in self.entries.items():
            if sequence in sequences:
                lines += [(number, sequence, statement) for number, _ in entries if number not in self.used]
        return sorted(lines)
