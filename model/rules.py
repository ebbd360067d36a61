"""Named conditions over facts, each with evidence that a person can check.

A rule is a function and a row in `RULES`. Its effect is the least outcome it asks for; a site
may change that in its policy. Rules only ever make an outcome more severe, except the trust
rules, which may soften a score by one step. No pattern rejects by itself unless a site says
so: what it can know is that a person should look. What rejects is what people of the site laid
down (`SITE_RULES`), or decided on nearly the same comment.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from model.addresses import mask_addresses
from model.facts import Facts
from model.lists import Act, Kind
from model.outcome import Outcome
from model.policy import Policy
from model.site_rules import AuthorRule, Standing
from model.verdict import RuleHit

log = logging.getLogger(__name__)

Check = Callable[[Facts, Policy], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A named condition. `check` gives the evidence, possibly empty, or None for no match.

    Evidence is what was found or how often ("3×"), so that it reads the same in any language.

    `field` is what the rule looks at. A rule with `trust` softens; its effect is not used.
    """

    name: str
    check: Check
    effect: Outcome
    field: str = ""
    trust: bool = False


def hits(
    facts: Facts, policy: Policy, rules: tuple[Rule, ...] | None = None
) -> tuple[RuleHit, ...]:
    """The rules that match, in the order of the table.

    A rule that raises is a hit that queues: the others and the score still count.
    """
    found = []
    if rules is None:
        rules = RULES if facts.met is not None else RULES[len(SITE_RULES) :]
    for rule in rules:
        try:
            evidence = rule.check(facts, policy)
            if evidence is None:
                continue
            effect = policy.effects.get(rule.name, rule.effect)
            evidence = mask_addresses(evidence)[:120]
            hit = RuleHit(rule.name, effect, evidence, rule.field, rule.trust)
        except Exception:  # noqa: BLE001  one broken rule must not lose a comment
            # Without the traceback: the exception's text could hold what was submitted.
            log.error("rule failed", extra={"rule": rule.name})
            hit = RuleHit(rule.name, Outcome.QUEUE, FAILED, rule.field)
        found.append(hit)
    return tuple(found)


FAILED = "this rule failed; a person should look"


def _honeypot(facts: Facts, policy: Policy) -> str | None:
    return "" if facts.submission.form.honeypot.strip() else None


def _too_fast(facts: Facts, policy: Policy) -> str | None:
    seconds = facts.submission.form.seconds_to_fill
    return f"{seconds:.1f} s" if seconds is not None and seconds < 2 else None


def _too_many_links(facts: Facts, policy: Policy) -> str | None:
    count = len(facts.links)
    return f"{count}×" if count > policy.max_links else None


# What runs or loads something in a browser. Never shown (see model.publishable); a reader who
# quotes code is queued for a person, not rejected.
_ACTIVE = re.compile(
    r"<\s{0,9}(script|iframe|object|embed|svg|style|form|meta)\b|\bon(?:error|load|click|mouseover)"
    r"\s{0,9}=|\b(?:javascript|vbscript):(?=\S)|[\"'=(]\s{0,9}(?:javascript|vbscript):",
    re.IGNORECASE,
)


def _active_markup(facts: Facts, policy: Policy) -> str | None:
    content = facts.submission.content
    if "<" not in content:
        if ":" not in content and "=" not in content:
            return None
        # Every way of it has one of these: looking for them is far cheaper. They end before an
        # "i", "k" or "s", which the pattern also finds as letters that lower case leaves alone.
        lower = content.lower()
        is_there = "pt:" in lower or "oner" in lower or "onlo" in lower or "oncl" in lower
        if not is_there and "onmou" not in lower:
            return None
    found = _ACTIVE.search(content)
    return found.group() if found else None


def _invisible(facts: Facts, policy: Policy) -> str | None:
    return f"{facts.invisible}×" if facts.invisible >= 2 else None


# The two overrides alone: some sites wrap every comment in embeddings, which turn nothing.
_OVERRIDES = "\u202d\u202e"


def _direction(facts: Facts, policy: Policy) -> str | None:
    content, name = facts.submission.content, facts.submission.author.name
    if content.isascii() and name.isascii():
        return None
    text = content + name
    found = [(text.find(override), override) for override in _OVERRIDES if override in text]
    return f"U+{ord(min(found)[1]):04X}" if found else None


def _disguised(facts: Facts, policy: Policy) -> str | None:
    return f"{facts.disguised}×" if facts.disguised >= 4 else None


def _stacked_marks(facts: Facts, policy: Policy) -> str | None:
    return f"{facts.marks}×" if facts.marks >= 5 else None


_LINK_AS_NAME = re.compile(r"https?://|\bwww\.", re.IGNORECASE)


def _name_is_link(facts: Facts, policy: Policy) -> str | None:
    name = facts.submission.author.name
    may_be = "/" in name or "." in name
    return "" if may_be and _LINK_AS_NAME.search(name) else None


def _disposable(facts: Facts, policy: Policy) -> str | None:
    return facts.address.domain if facts.address and facts.address.is_disposable else None


def _flood(facts: Facts, policy: Policy) -> str | None:
    since = facts.history.seconds_since_author
    return f"{max(since, 0):.0f} s" if since is not None and since < policy.flood_seconds else None


def _twin(facts: Facts, policy: Policy) -> str | None:
    return "" if facts.history.same_article_twin else None


def _rejected_text(facts: Facts, policy: Policy) -> str | None:
    count = facts.history.text_rejected
    return f"{count}×" if count else None


def _rejected_author(facts: Facts, policy: Policy) -> str | None:
    history = facts.history
    rejected = history.author_rejected
    return f"{rejected}×" if rejected > history.author_accepted else None


def _known_author(facts: Facts, policy: Policy) -> str | None:
    history = facts.history
    trusted = history.author_accepted >= policy.trust_after > 0 and not history.author_rejected
    return f"{history.author_accepted}×" if trusted else None


def _settled_as(outcome: Outcome) -> Check:
    def check(facts: Facts, policy: Policy) -> str | None:
        twin = facts.twin
        if twin is None or twin.settles is not outcome:
            return None
        return f"{twin.decisions}×, {twin.likeness:.0%}"

    return check


def _stands(standing: Standing) -> Check:
    def check(facts: Facts, policy: Policy) -> str | None:
        met = facts.met
        if met is None:
            return None
        # Whoever is trusted by name is not banned for the network that others share.
        by_name = met.author
        rule = by_name if by_name is not None else met.network
        return _until(rule) if rule is not None and rule.standing is standing else None

    return check


def _until(rule: AuthorRule) -> str:
    return "" if rule.until is None else f"{rule.until:%Y-%m-%d %H:%M} UTC"


def _raided(facts: Facts, policy: Policy) -> str | None:
    met = facts.met
    if met is None or met.raid is None:
        return None
    if met.author is not None and met.author.standing is Standing.TRUSTED:
        return None
    return f"{met.raid.until:%Y-%m-%d %H:%M} UTC"


def _listed(kind: Kind, act: Act) -> Check:
    def check(facts: Facts, policy: Policy) -> str | None:
        if facts.met is None or not facts.met.found:
            return None
        found = [
            f.entry.text for f in facts.met.found if f.entry.kind is kind and f.entry.act is act
        ]
        return ", ".join(found) if found else None

    return check


SITE_RULES: tuple[Rule, ...] = (
    Rule("author.banned", _stands(Standing.BANNED), Outcome.REJECT, "author.email"),
    Rule("author.queued", _stands(Standing.QUEUED), Outcome.QUEUE, "author.email"),
    Rule("list.word_rejected", _listed(Kind.WORD, Act.REJECT), Outcome.REJECT, "content"),
    Rule("list.word", _listed(Kind.WORD, Act.QUEUE), Outcome.QUEUE, "content"),
    Rule("list.domain_rejected", _listed(Kind.DOMAIN, Act.REJECT), Outcome.REJECT, "content"),
    Rule("list.domain", _listed(Kind.DOMAIN, Act.QUEUE), Outcome.QUEUE, "content"),
    Rule("raid.new_author", _raided, Outcome.QUEUE, "author.email"),
    Rule("author.trusted", _stands(Standing.TRUSTED), Outcome.ACCEPT, "author.email", trust=True),
    Rule(
        "list.domain_trusted",
        _listed(Kind.DOMAIN, Act.TRUST),
        Outcome.ACCEPT,
        "content",
        trust=True,
    ),
)
"""What people of a site laid down; asked of the comments of a site that has such rules."""

_OF_EVERY_SITE: tuple[Rule, ...] = (
    Rule("form.honeypot", _honeypot, Outcome.QUEUE, "form.honeypot"),
    Rule("form.too_fast", _too_fast, Outcome.QUEUE, "form.seconds_to_fill"),
    Rule("links.too_many", _too_many_links, Outcome.QUEUE, "content"),
    Rule("text.active_markup", _active_markup, Outcome.QUEUE, "content"),
    Rule("text.invisible", _invisible, Outcome.QUEUE, "content"),
    Rule("text.direction", _direction, Outcome.QUEUE, "content"),
    Rule("text.disguised", _disguised, Outcome.QUEUE, "content"),
    Rule("text.stacked_marks", _stacked_marks, Outcome.QUEUE, "content"),
    Rule("author.name_is_link", _name_is_link, Outcome.QUEUE, "author.name"),
    Rule("author.disposable_address", _disposable, Outcome.ACCEPT, "author.email"),
    Rule("author.flood", _flood, Outcome.QUEUE, "author.email"),
    Rule("author.rejected_before", _rejected_author, Outcome.QUEUE, "author.email"),
    Rule("text.twin", _twin, Outcome.QUEUE, "content"),
    Rule("text.rejected_before", _rejected_text, Outcome.QUEUE, "content"),
    Rule("author.known", _known_author, Outcome.ACCEPT, "author.email", trust=True),
    Rule("memory.rejected_before", _settled_as(Outcome.REJECT), Outcome.REJECT, "content"),
    Rule("memory.like_rejected", _settled_as(Outcome.QUEUE), Outcome.QUEUE, "content"),
    Rule(
        "memory.accepted_before",
        _settled_as(Outcome.ACCEPT),
        Outcome.ACCEPT,
        "content",
        trust=True,
    ),
)

RULES: tuple[Rule, ...] = (*SITE_RULES, *_OF_EVERY_SITE)
