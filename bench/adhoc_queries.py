"""The queries of bench/adhoc: one statement for all, or a variant where a tool's dialect differs.

`NN-name.sql` is for every tool; `NN-name.<tool>.sql` is what this tool is asked instead. `{player}`
and `{session}` stand for identifiers in the data. Tools without schemas know `events.purchase` as
`events_purchase`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "adhoc"

# Tools whose tables have one name only.
WITHOUT_SCHEMAS = {"polars", "pyspark"}

_TABLE = re.compile(r"\b(events|star)\.(\w+)")


@dataclass(frozen=True)
class Query:
    name: str
    # What it is about: the first remark.
    title: str
    # By tool; that for all others under an empty name.
    texts: dict[str, str]

    def request(self, tool: str, parameters: dict[str, str]) -> dict:
        """What a tool is asked."""
        text = self.texts.get(tool, self.texts[""])
        for name, value in parameters.items():
            text = text.replace(f"{{{name}}}", value)
        if tool in WITHOUT_SCHEMAS:
            text = _TABLE.sub(r"\1_\2", text)
        return {"sql": text.strip().rstrip(";")}

    def variants(self) -> list[str]:
        """Tools that are asked something of their own."""
        return sorted(tool for tool in self.texts if tool)


def read_queries() -> list[Query]:
    queries = []
    for file in sorted(FOLDER.glob("*.sql")):
        name, _, tool = file.stem.partition(".")
        if tool:
            continue
        texts = {"": file.read_text()}
        for variant in FOLDER.glob(f"{name}.*.sql"):
            texts[variant.stem.partition(".")[2]] = variant.read_text()
        title = texts[""].splitlines()[0].removeprefix("-- ")
        queries.append(Query(name, title, texts))
    return queries
