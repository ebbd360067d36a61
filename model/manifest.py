"""What a model version is, as plain JSON, and how it is named. Knows no file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from model.features import Spec
from model.promise import Promise
from model.refusals import RegistryError

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model version is. Everything in it is plain JSON.

    `digests` are SHA-256 of the version's files by name, of the manifest's own file that of
    all it says but this one digest; `data` says which files were read
    (name, rows, digest, licence tier where known); `evaluation` is what was measured on held
    out groups; `probes` are texts of our own with the log-odds they must get.
    """

    version: str
    features_version: int
    spec: Spec
    bias: tuple[float, ...]
    promise: Promise
    digests: Mapping[str, str]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    histogram: Mapping[str, Any] = field(default_factory=dict)
    probes: tuple[tuple[str, tuple[float, ...]], ...] = ()

    @property
    def learnt_until(self) -> datetime | None:
        """When the last decision was made that moved it; None where none did, or nobody knows.

        In UTC where the recipe does not say.
        """
        try:
            at = datetime.fromisoformat(str(self.recipe.get("labels_until") or ""))
        except ValueError:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def to_json(self) -> str:
        """The manifest as JSON with sorted keys: equal manifests are equal bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest that `to_json` wrote. Raises RegistryError for anything else."""
        try:
            body = json.loads(text)
            spec = body.pop("spec")
            return cls(
                spec=Spec(
                    bits=spec["bits"],
                    chars=tuple(spec["chars"]),
                    words=tuple(spec["words"]),
                    marked=tuple(spec["marked"]),
                    shares=spec["shares"],
                    worst_part=spec["worst_part"],
                ),
                bias=tuple(body.pop("bias")),
                promise=Promise.from_body(body.pop("promise")),
                data=tuple(body.pop("data")),
                probes=tuple((text, tuple(odds)) for text, odds in body.pop("probes")),
                **body,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
            raise RegistryError(f"the manifest cannot be read: {type(problem).__name__}") from None


def version_name(manifest: Manifest, table_digest: str) -> str:
    """A name made from what decides a score and an outcome: equal models have equal names.

    12 hexadecimal digits of SHA-256; `table_digest` is of the file of weights.
    """
    body = asdict(manifest)
    told = [body[part] for part in ("spec", "bias", "promise", "features_version")]
    return hashlib.sha256(json.dumps([table_digest, told], sort_keys=True).encode()).hexdigest()[
        :12
    ]


def manifest_digest(text: str) -> str:
    """SHA-256 of all that a manifest says but its own digest."""
    body = json.loads(text)
    body["digests"].pop(MANIFEST, None)
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
