"""The tables of docs/study.md, made from docs/study.json, which the study wrote; never by hand.

Owns which figures are shown and how. Refuses to measure: `studies/loop.py` does.
"""

from __future__ import annotations

from study_watch import drift, streamed, watch
from study_words import NONE, SECOND, Found, change, kind, months_of, number, read, share, table


def failed(month: Found) -> str:
    """The gates that a turn did not pass."""
    names = [gate["name"] for gate in month["gates"] if gate["passed"] is not True and gate["name"] != "new_cases"]
    return ", ".join(names)


def outcome(month: Found) -> str:
    """What became of a turn, in a few words."""
    if month["outcome"] == "proposed":
        return "promoted"
    return f"refused: {failed(month)}" if month["gates"] else f"{month['outcome']}: {month['said']}"


def parts(found: Found | None = None) -> str:
    """Who is in which part: pictures, lesions, and pictures by diagnosis."""
    found = found or read()
    names = {
        "base": "first champion (train, validation, calibration)", "frozen": "frozen set",
        "foreign": "other source, last month", "foreign-test": "other source, held out",
    }  # fmt: skip
    counts = found["about"]["counts"]
    codes = [code for code in counts["base"] if code not in ("pictures", "lesions") and any(
        part[code] for part in counts.values())]  # fmt: skip
    order = ["base", "frozen", *(f"month-{month}" for month in months_of(found)), "foreign", "foreign-test"]
    rows = [
        [names.get(name, name.replace("-", " ")), *(str(counts[name][key]) for key in ("pictures", "lesions", *codes))]
        for name in order
    ]
    return table(["Part", "Pictures", "Lesions", *codes], rows)


def months(found: Found | None = None) -> str:
    """The curve: what serves after each month's turn, on the frozen set."""
    found = found or read()
    header = ["After month", "Balanced accuracy", "AUC for malignancy", "Sensitivity", "Specificity", "Turn"]

    def line(name: str, figures: Found, said: str) -> list[str]:
        return [
            name, number(figures["balanced_accuracy"]), number(figures["malignant_auc"]),
            number(figures["sensitivity"], interval=False), number(figures["specificity"], interval=False), said,
        ]  # fmt: skip

    rows = [line("never refined", found["first"]["frozen"], "the first champion")]
    rows += [
        line(kind(found, month), found[f"month-{month}"]["served"], outcome(found[f"month-{month}"]))
        for month in months_of(found)
    ]
    rows.append(line(SECOND, found["second"]["served"], outcome(found["second"])))
    rows.append(line("everything at once", found["ceiling"]["frozen"], "the ceiling"))
    return table(header, rows)


def challengers(found: Found | None = None) -> str:
    """Each month's cases and its challenger, promoted or not, against the champion of that moment."""
    found = found or read()
    header = ["Month", "Cases", "Train", "Flagged", "Balanced accuracy, change", "AUC for malignancy, change"]
    rows = []
    for month in months_of(found):
        one = found[f"month-{month}"]
        cases = str(one["cases"] + one.get("foreign_cases", 0))
        against = one.get("challenger_against_before")
        changes = [NONE, NONE] if against is None else [change(against[name]) for name in (
            "balanced_accuracy", "malignant_auc")]  # fmt: skip
        rows.append([kind(found, month), cases, str(one["trains"]), str(one["flagged"]), *changes])
    return table(header, rows)


def gates(found: Found | None = None) -> str:
    """What every gate measured in every turn."""
    found = found or read()
    turns = {f"Month {kind(found, month)}": found[f"month-{month}"]["gates"] for month in months_of(found)}
    turns["After the review"] = found["second"]["gates"]
    names = [gate["name"] for gate in next(iter(turns.values()), [])]
    rows = []
    for place, name in enumerate(names):
        cells = []
        for own in turns.values():
            gate = own[place] if own else {"passed": None, "measured": None}
            word = {True: "passed", False: "**failed**", None: "not judged"}[gate["passed"]]
            cells.append(word if gate["measured"] is None else f"{word} {gate['measured']:+.3f}")
        rows.append([f"`{name}`", *cells])
    return table(["Gate", *turns], rows)


def poison(found: Found | None = None) -> str:
    """The poisoned month: what was flagged, and what the challenger had been without the check."""
    found = found or read()
    month = months_of(found)[-2]
    one, bare = found[f"month-{month}"], found["unchecked"]
    refused = [gate["name"] for gate in bare["gates"] if gate["passed"] is not True]
    rows = [
        ["Flipped confirmations that were flagged", share(one["wrong_flagged"], one["wrong"])],
        ["Right confirmations that were flagged",
         share(one["flagged"] - one["wrong_flagged"], one["cases"] - one["wrong"])],
        ["Flags that were right", share(one["wrong_flagged"], one["flagged"])],
        ["The turn", outcome(one)],
        ["Served after it against before it: balanced accuracy", change(one["against_before"]["balanced_accuracy"])],
        ["Served after it against before it: AUC", change(one["against_before"]["malignant_auc"])],
        ["Challenger without any check against the champion: balanced accuracy",
         change(bare["against_before"]["balanced_accuracy"])],
        ["Challenger without any check against the champion: AUC", change(bare["against_before"]["malignant_auc"])],
        ["Gates on the frozen set that would have stopped it", ", ".join(refused) or "none"],
    ]  # fmt: skip
    return table(["Poisoned month", ""], rows)


def foreign(found: Found | None = None) -> str:
    """What refining closed of the gap on the other source's held-out pictures."""
    found = found or read()
    last, second = found[f"month-{months_of(found)[-1]}"], found["second"]
    before, top = last["foreign"]["before"], found["ceiling"]["foreign"]
    rows = [_on_foreign("served before", before, before, top, "")]
    for name, one in (("challenger of the month", last), ("challenger after the lead looked", second)):
        if "challenger" in one["foreign"]:
            rows.append(_on_foreign(name, one["foreign"]["challenger"], before, top, outcome(one)))
    rows.append(_on_foreign("everything at once", top, before, top, ""))
    header = ["On ISIC 2017, held out", "Balanced accuracy", "AUC for malignancy", "Part of the gap closed, of each",
              "Declined", "Turn"]  # fmt: skip
    return table(header, rows)


def _on_foreign(name: str, figures: Found, before: Found, top: Found, said: str) -> list[str]:
    closed = []
    for metric in ("balanced_accuracy", "malignant_auc"):
        gap = top[metric]["value"] - before[metric]["value"]
        closed.append(f"{(figures[metric]['value'] - before[metric]['value']) / gap:.0%}" if gap > 0 else "no gap")
    return [
        name, number(figures["balanced_accuracy"]), number(figures["malignant_auc"]),
        NONE if figures in (before, top) else ", ".join(closed), f"{figures['declined']:.1%}", said or NONE,
    ]  # fmt: skip


def freezing(found: Found | None = None) -> str:
    """Part-frozen warm start against training all of the network for as many steps."""
    found = found or read()
    one = found["freezing"]
    spent, whole = one["seconds"]["challenger"], one["seconds"]["other"]
    rows = [
        ["part frozen, as the plan says", number(one["challenger"]["balanced_accuracy"]),
         number(one["challenger"]["malignant_auc"]), f"{spent:.0f} s"],
        ["nothing frozen", number(one["other"]["balanced_accuracy"]), number(one["other"]["malignant_auc"]),
         f"{whole:.0f} s"],
        ["difference", change(one["difference"]["balanced_accuracy"]), change(one["difference"]["malignant_auc"]),
         f"{whole / spent:.2f} times"],
    ]  # fmt: skip
    return table([f"Month {one['month']}", "Balanced accuracy", "AUC for malignancy", "Training"], rows)


def labels(found: Found | None = None) -> str:
    """The label check on HAM10000 with flipped labels."""
    found = found or read()
    words = {"across": "cancer and harmless exchanged", "any": "any other diagnosis"}
    rows = [
        [
            f"{one['share']:.0%}" + (f", {words[one['kind']]}" if one["share"] else ""),
            share(one["found"], one["flipped"]) if one["flipped"] else NONE,
            share(one["found"], one["flagged"]) if one["flipped"] else NONE,
            share(one["right_flagged"], one["pictures"] - one["flipped"]),
            share(one["right_malignant_flagged"], one["right_malignant"]),
        ]
        for one in found["labels"]
    ]
    header = ["Flipped", "Found (recall)", "Flags that were right (precision)", "Right labels flagged",
              "of them: of malignant lesions"]  # fmt: skip
    return table(header, rows)


def gaps(found: Found | None = None) -> str:
    """The label check at larger gaps than the plan's."""
    found = found or read()
    words = {"across": "cancer and harmless exchanged", "any": "any other diagnosis"}
    header = ["Flipped", *(f"gap {at['gap']}: found, precision" for at in found["labels"][0]["at_gap"])]
    rows = [
        [
            f"{one['share']:.0%}, {words[one['kind']]}",
            *(f"{at['found'] / one['flipped']:.0%}, {at['found'] / at['flagged']:.0%}" for at in one["at_gap"]),
        ]
        for one in found["labels"]
        if one["flipped"] and all(at["flagged"] for at in one["at_gap"])
    ]
    return table(header, rows)


def same(found: Found | None = None) -> str:
    """How often each gate refuses a network that was only calibrated a second time, by the lesions calibrated on."""
    found = found or read()
    sizes = found["same"]
    names = sorted({name for one in sizes for name in one["refused"] if name != "any"})
    header = ["Calibrated on lesions (malignant pictures)", "Refused", *(f"`{name}`" for name in names),
              "Sensitivity, deviation", "Declined, deviation"]  # fmt: skip
    told = all("worse" in one for one in sizes)
    header += ["A worse network refused (its AUC)"] if told else []
    rows = [
        [
            f"{one['lesions']} ({one['malignant_pictures']})",
            share(one["refused"].get("any", 0), one["draws"]),
            *(f"{one['refused'].get(name, 0) / one['draws']:.0%}" for name in names),
            f"{one['sensitivity_deviation']:.3f}",
            f"{one['declined_deviation']:.3f}",
            *([_worse(one["worse"])] if told else []),
        ]
        for one in sizes
    ]
    return table(header, rows)


def _worse(one: Found) -> str:
    return f"{share(one['refused'].get('any', 0), one['draws'])} ({one['auc_change']:+.3f})"


PARTS = {
    "study-parts": parts, "study-months": months, "study-challengers": challengers, "study-gates": gates,
    "study-poison": poison, "study-drift": drift, "study-foreign": foreign, "study-freezing": freezing,
    "study-labels": labels, "study-watch": watch, "study-streamed": streamed,
    "study-gaps": gaps, "study-same": same,
}  # fmt: skip
"""Every table, by the name of its mark."""
