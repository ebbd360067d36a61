"""Comparisons that a registry keeps: what a challenger does otherwise than a champion.

    CHALLENGER/CHAMPION/comparison.json, report.LANGUAGE.html, signature.json

Written again when either is measured anew. What promotion is ruled by, and a page that a
moderator's browser opens, must be signed as versions are. Knows no names.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.comparison import Comparison, ComparisonError, ComparisonOutdated
from model.durable import object_in, read_at_most, write_whole
from model.guard import Guard
from model.refusals import Refusal, RegistryError
from model.signing import Kind, Signature

COMPARISON = "comparison.json"
_SIGNATURE = "signature.json"
_PAGE = re.compile(r"report\.[a-z]{2}\.html")
_MOST = 2**26


@dataclass(frozen=True, slots=True)
class Reports:
    """The directory of comparisons."""

    folder: Path
    guard: Guard | None = None

    def keep(self, comparison: Comparison, pages: Mapping[str, str]) -> Path:
        """Write a comparison and its pages, instead of earlier ones; their folder.

        Raises ValueError for a file name that is no page's.
        """
        if not all(map(_PAGE.fullmatch, pages)):
            raise ValueError("a page of a report is called report.LANGUAGE.html")
        folder = self.folder / comparison.challenger / comparison.champion
        folder.mkdir(parents=True, exist_ok=True)
        texts = {**pages, COMPARISON: comparison.to_json()}
        for file, text in texts.items():
            write_whole(folder / file, text)
        if self.guard is not None:
            digests = {f: hashlib.sha256(t.encode()).hexdigest() for f, t in texts.items()}
            signature = self.guard.signature(Kind.REPORT, _signed_body(folder, digests))
            told = {"files": digests} | signature.body()
            write_whole(folder / _SIGNATURE, json.dumps(told, indent=1) + "\n")
        return folder

    def comparison(self, challenger: str, champion: str) -> Comparison | None:
        """How two versions compared; None where nobody did, as this program compares.

        Raises RegistryError.
        """
        text = self.file(challenger, champion, COMPARISON)
        try:
            found = Comparison.from_json(text) if text is not None else None
        except ComparisonOutdated:
            return None  # an earlier program compared otherwise: it has to be done again
        except ComparisonError as problem:
            raise RegistryError(f"version {challenger}: {problem}") from None
        if found is not None and (found.challenger, found.champion) != (challenger, champion):
            raise RegistryError(f"version {challenger}: its comparison is of other versions")
        return found

    def file(self, challenger: str, champion: str, file: str) -> str | None:
        """The text of a file, None where there is none. Raises RegistryError.

        Also where it is being written at this moment: ask again when no writer is at work.
        """
        folder = self.folder / challenger / champion
        if not (folder / file).is_file():
            return None
        body = read_at_most(folder / file, _MOST)
        if self.guard is not None:
            told = object_in(folder / _SIGNATURE)
            files = told.get("files")
            digests = files if isinstance(files, dict) else {}
            what = f"the report on {challenger}"
            signature = Signature.from_body(told)
            self.guard.check(what, Kind.REPORT, _signed_body(folder, digests), signature)
            if digests.get(file) != hashlib.sha256(body).hexdigest():
                raise RegistryError(f"{what}: {file} is not what was written", Refusal.CHANGED)
        return body.decode("utf-8", "replace")


def _signed_body(folder: Path, digests: Mapping[str, str]) -> dict[str, Any]:
    pair = {"challenger": folder.parent.name, "champion": folder.name}
    return pair | {"files": dict(digests)}
