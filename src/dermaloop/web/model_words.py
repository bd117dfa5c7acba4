"""Models in words: what a version is, what its gates say, by what an alias came where it is.

Owns those words. Refuses to know HTML.
"""

from __future__ import annotations

from dermaloop.cases.comparison import Share
from dermaloop.cases.model_records import GateResult, Verdict
from dermaloop.cases.model_tables import Act, Alias, Origin
from dermaloop.core.prediction import Decision, Status
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.translation import number
from dermaloop.web.wording import percent

_WITHOUT_PICTURES = frozenset({"frozen_set", "latency", "size"})
"""Gates whose `n` counts no pictures: uses, and one measurement."""
ALIASES: dict[Alias, str] = {
    Alias.CHAMPION: N_("champion"),
    Alias.CHALLENGER: N_("challenger"),
    Alias.SHADOW: N_("shadow"),
    Alias.RETIRED: N_("retired"),
}
"""What a version is."""
ACTS: dict[Act, str] = {
    Act.FIRST: N_("was the first"),
    Act.PROPOSED: N_("was proposed"),
    Act.PROMOTED: N_("was promoted"),
    Act.ROLLED_BACK: N_("by a rollback"),
    Act.REPLACED: N_("was replaced"),
    Act.DECLINED: N_("was declined"),
    Act.STARTED: N_("was started"),
    Act.STOPPED: N_("was ended"),
}
"""By what an alias came to point where it does."""
ORIGINS: dict[Origin, str] = {
    Origin.SHIPPED: N_("came with the program"),
    Origin.ADDED: N_("added by hand"),
    Origin.NAMED: N_("named when a server was started"),
    Origin.PROPOSED: N_("proposed by a turn of refining"),
}
"""Where a version came from."""
VERDICTS: dict[Verdict, str] = {
    Verdict.PASSED: N_("All required gates passed"),
    Verdict.FAILED: N_("A gate was not passed: this model cannot be promoted"),
    Verdict.UNJUDGED: N_("A gate could not be judged: this model cannot be promoted"),
    Verdict.NONE: N_("No plan and no gate stands behind this model"),
}
"""What the gates say together."""
GATES: dict[str, tuple[str, str]] = {
    "frozen_set": (N_("Frozen test set"), N_("The test set was not used so often that it says nothing any more.")),
    "auc": (N_("AUC for malignancy"), N_("It tells malignant from benign no worse than the champion, by the margin.")),
    "best_champion": (
        N_("Best champion so far"),
        N_("It is no worse than the best champion there ever was, by the margin: small losses do not add up."),
    ),
    "matched_sensitivity": (
        N_("Sensitivity at the champion's specificity"),
        N_("Where both refer as many benign lesions, it refers no fewer malignant ones, whatever its own threshold."),
    ),
    "sensitivity": (
        N_("Sensitivity at the operating point"),
        N_("With its own threshold it refers no fewer malignant lesions than the champion, by the margin."),
    ),
    "specificity": (
        N_("Specificity at the operating point"),
        N_("It refers no more benign lesions than the champion, by the margin."),
    ),
    "brier": (
        N_("Brier score of the probability"),
        N_("Its probabilities are no worse than the champion's, by the margin."),
    ),
    "calibration": (N_("Calibration"), N_("Its probabilities fit what was found.")),
    "subgroups": (N_("Subgroups"), N_("No group of patients fares worse than with the champion, by the margin.")),
    "new_cases": (N_("New cases"), N_("On cases that nothing was trained on it is better than the champion.")),
    "stress": (N_("Disturbed pictures"), N_("Blur, light and noise change its decisions no more often.")),
    "declined": (N_("Declined pictures"), N_("It declines no more pictures than the champion, by the margin.")),
    "latency": (N_("Time for one picture"), N_("It does not take much longer.")),
    "size": (N_("Size of the file"), N_("The bundle is not much larger.")),
}
"""Gates of `refine.plan.GATES`: what each is called, and what it asks for."""
MISSED: dict[str, str] = {
    "queue_full": N_("too many were waiting"),
    "server_busy": N_("the server was busy with people's requests"),
    "failed": N_("the model failed on them"),
    "stopped": N_("the shadow or the server was ended before"),
}
"""Why a shadow was not asked about pictures."""


def alias_name(alias: Alias) -> str:
    """What a version is."""
    return _(ALIASES[alias])


def act_name(act: Act) -> str:
    """By what an alias came where it is."""
    return _(ACTS[act])


def origin_name(origin: Origin) -> str:
    """Where a version came from."""
    return _(ORIGINS[origin])


def verdict_name(verdict: Verdict) -> str:
    """What the gates say together."""
    return _(VERDICTS[verdict])


def missed_name(reason: str) -> str:
    """Why pictures were left out."""
    return _(MISSED.get(reason, reason))


def gate_state(gate: GateResult) -> str:
    """A gate's result in one word or two."""
    if gate.passed is None:
        return _("not judged")
    return _("passed") if gate.passed else _("not passed")


def gate_name(gate: GateResult) -> str:
    """What a gate is called."""
    return gate_title(gate.name)


def gate_title(name: str) -> str:
    """What the gate of this name is called; its name as words where another program made it."""
    return _(GATES[name][0]) if name in GATES else name.replace("_", " ").replace("-", " ")


def gate_asks(gate: GateResult) -> str:
    """What a gate asks for; empty where another program made it."""
    return _(GATES[gate.name][1]) if gate.name in GATES else ""


def digits_of(gate: GateResult) -> int:
    """How many decimals a gate's numbers have: uses of the frozen set are counted."""
    return 0 if gate.name == "frozen_set" else 3


def pictures_of(gate: GateResult) -> int | None:
    """How many pictures a gate rests on; None where it rests on none, or nobody said."""
    return None if gate.name in _WITHOUT_PICTURES else gate.n


def measured_said(value: float, digits: int = 3) -> str:
    """A gate's measure or limit, with the sign that numbers have in print; counts without decimals."""
    text = number(abs(value), 0 if float(value).is_integer() and abs(value) > 1 else digits)
    return ("\N{MINUS SIGN}" if value < 0 else "") + text


def decision_said(status: Status, decision: Decision) -> str:
    """What a model said of a picture, in a word or two."""
    if status is Status.UNREADABLE:
        return _("not readable")
    if decision is Decision.REFER:
        return _("refer")
    return _("no referral") if decision is Decision.NO_REFERRAL else _("declined")


def interval_said(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval in words; empty where there is none."""
    if low is None or high is None:
        return ""
    return _("%(low)s to %(high)s") % {"low": measured_said(low, digits), "high": measured_said(high, digits)}


def verdict_short(verdict: Verdict) -> str:
    """What the gates say together, in a word or two."""
    return {
        Verdict.PASSED: _("passed"),
        Verdict.FAILED: _("not passed"),
        Verdict.UNJUDGED: _("not judged"),
        Verdict.NONE: _("none"),
    }[verdict]


def share_said(share: Share) -> str:
    """A share with its interval: `12 of 15, 80 % (54 to 93)`; a dash where there is nothing to count."""
    if share.value is None or share.interval is None:
        return "\N{EN DASH}"
    low, high = share.interval
    return _("%(count)s of %(n)s, %(share)s (95%% interval %(low)s to %(high)s)") % {
        "count": number(share.count),
        "n": number(share.n),
        "share": percent(share.value, 0),
        "low": percent(low, 0),
        "high": percent(high, 0),
    }


def signed(value: float) -> str:
    """A difference with its sign."""
    return ("+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else "\N{PLUS-MINUS SIGN}") + number(abs(value), 3)


def change_name(word: str) -> str:
    """Whether a figure is better or worse."""
    return {"better": _("better"), "worse": _("worse"), "same": _("the same")}.get(word, "")
