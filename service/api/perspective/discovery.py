"""The discovery document: what Google's client libraries build a client of this door from.

Names of methods, fields and types are the protocol's; what is said of them is what is true here.
"""

from typing import Any

_Schema = dict[str, Any]


def document(root_url: str) -> _Schema:
    """The document of a service that is reached at this URL."""
    root = root_url.rstrip("/") + "/"
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "commentanalyzer:v1alpha1",
        "name": "commentanalyzer",
        "version": "v1alpha1",
        "title": "Comment scores by Duyet",
        "description": "Scores of comments, in the protocol of the Perspective API.",
        "protocol": "rest",
        "rootUrl": root,
        "baseUrl": root,
        "basePath": "",
        "servicePath": "",
        "batchPath": "batch",
        "parameters": {
            "key": _query("A key of the site."),
            "alt": _query("The form of the answer, which is json.") | {"default": "json"},
            "prettyPrint": _query("Taken, and changes nothing.", "boolean"),
            "quotaUser": _query("Taken, and changes nothing."),
        },
        "schemas": {name: {"id": name, "type": "object"} | made for name, made in _TYPES.items()},
        "resources": {
            "comments": {
                "methods": {
                    "analyze": _method("analyze", "AnalyzeComment", "Score a comment."),
                    "suggestscore": _method(
                        "suggestscore", "SuggestCommentScore", "Say that a score was wrong."
                    ),
                }
            }
        },
    }


def schema_of(name: str) -> _Schema:
    """A type of the document as JSON Schema, the types that it refers to put in their places."""
    inlined: _Schema = _inlined({"type": "object"} | _TYPES[name])
    return inlined


def _inlined(part: Any) -> Any:
    if isinstance(part, list):
        return [_inlined(one) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return schema_of(part["$ref"])
    return {name: _inlined(value) for name, value in part.items()}


def _query(said: str, kind: str = "string") -> _Schema:
    return {"type": kind, "location": "query", "description": said}


def _method(name: str, types: str, said: str) -> _Schema:
    return {
        "id": f"commentanalyzer.comments.{name}",
        "path": f"v1alpha1/comments:{name}",
        "flatPath": f"v1alpha1/comments:{name}",
        "httpMethod": "POST",
        "description": said,
        "parameters": {},
        "parameterOrder": [],
        "request": {"$ref": f"{types}Request"},
        "response": {"$ref": f"{types}Response"},
    }


def _text(said: str) -> _Schema:
    return {"type": "string", "description": said}


def _flag(said: str) -> _Schema:
    return {"type": "boolean", "description": said}


def _number(kind: str, form: str, said: str) -> _Schema:
    return {"type": kind, "format": form, "description": said}


def _ref(name: str) -> _Schema:
    return {"$ref": name}


def _many(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _by_name(of: str) -> _Schema:
    return {"type": "object", "additionalProperties": _ref(of)}


def _of(**properties: _Schema) -> _Schema:
    return {"properties": properties}


_COMMON: _Schema = {
    "comment": _ref("TextEntry"),
    "context": _ref("Context"),
    "languages": _many(_text("A language tag such as vi; it changes no score.")),
    "clientToken": _text("Comes back in the answer."),
    "communityId": _text("Taken, and changes nothing."),
}
_TOLD: _Schema = {"clientToken": _text("As it was sent.")}

_TYPES: dict[str, _Schema] = {
    "AnalyzeCommentRequest": _of(
        **_COMMON,
        requestedAttributes=_by_name("AttributeParameters"),
        spanAnnotations=_flag("Taken: there is one span, of the whole comment, either way."),
        doNotStore=_flag("Whether nothing may be kept of the comment, whatever the site chose."),
        sessionId=_text("Taken, and changes nothing."),
    ),
    "AnalyzeCommentResponse": _of(
        **_TOLD,
        attributeScores=_by_name("AttributeScores"),
        languages=_many(_text("The languages that were sent, else the one found.")),
        detectedLanguages=_many(_text("The language found, if any.")),
    ),
    "SuggestCommentScoreRequest": _of(
        **_COMMON,
        attributeScores=_by_name("AttributeScores"),
        sessionId=_text("Taken, and changes nothing."),
    ),
    "SuggestCommentScoreResponse": _of(**_TOLD, detectedLanguages=_many(_text("Never told here."))),
    "AttributeParameters": _of(
        scoreType=_text("PROBABILITY, which is what there is."),
        scoreThreshold=_number("number", "float", "A score below this is not told."),
    ),
    "AttributeScores": _of(summaryScore=_ref("Score"), spanScores=_many(_ref("SpanScore"))),
    "SpanScore": _of(
        begin=_number("integer", "int32", "Where it begins, in UTF-16 code units."),
        end=_number("integer", "int32", "Where it ends, exclusive."),
        score=_ref("Score"),
    ),
    "Score": _of(value=_number("number", "float", "From 0 to 1."), type=_text("PROBABILITY.")),
    "TextEntry": _of(text=_text("The text."), type=_text("PLAIN_TEXT or HTML.")),
    "Context": _of(
        entries=_many(_ref("TextEntry")),
        articleAndParentComment=_ref("ArticleAndParentComment"),
    ),
    "ArticleAndParentComment": _of(article=_ref("TextEntry"), parentComment=_ref("TextEntry")),
}
