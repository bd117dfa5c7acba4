"""The tables of docs/study.md on how the months came in and what the watch said of them.

Owns those tables and one sentence. Refuses to measure.
"""

from __future__ import annotations

from study_words import Found, kind, months_of, read, table

OUTCOME = {"missed", "needless", "malignant", "calibration"}
"""What the watch measures on confirmed cases."""


def streamed(found: Found | None = None) -> str:
    """By which way the cases of these figures came into the records."""
    about = (found or read())["about"]
    if about.get("stream") == "http":
        return "The figures from here on were made in this way, by the code that `code` in `study.json` names."
    return (
        "**The figures from here on were made before that**, by an earlier form of the study that called the functions "
        "which the service calls, and gave each patient a random id. Until it is run again they are that run's; "
        "`code` in `study.json` names the code that made them."
    )


def watch(found: Found | None = None) -> str:
    """What the watch had raised by the end of each month, of all that the month's champion had answered."""
    found = found or read()
    header = ["Month", "Visits under its champion", "Confirmed cases", "Alarms of pictures and answers, at visit",
              "Alarms of the outcome, at confirmed case"]  # fmt: skip
    rows = []
    for month in months_of(found):
        one = found[f"month-{month}"]
        rows.append(_watched(kind(found, month), one["watch"]))
        if "watch_after" in one:
            rows[-1][0] = f"{month}, its own cases"
            rows.append(_watched(f"{month}, the other source's too", one["watch_after"]))
    return table(header, rows)


def _watched(month: str, said: Found) -> list[str]:
    ordered = sorted(said["alarms"].items(), key=lambda item: (item[1], item[0]))
    pictures = [f"{name} {at}" for name, at in ordered if name not in OUTCOME]
    # A number beyond the last case is the earlier study's, which counted visits here; it is not shown.
    outcome = [f"{name} {at}" if at <= said["confirmed"] else name for name, at in ordered if name in OUTCOME]
    alarms = [", ".join(names) or "none" for names in (pictures, outcome)]
    return [month, str(said["visits"]), str(said["confirmed"]), *alarms]


def drift(found: Found | None = None) -> str:
    """What the watch said when the other source came."""
    found = found or read()
    one = found[f"month-{months_of(found)[-1]}"]
    visits, earlier, later = one["watch"]["visits"], one["watch"]["alarms"], one["watch_after"]["alarms"]
    late = {name: visit - visits for name, visit in later.items() if name not in earlier and name not in OUTCOME}
    said = ", ".join(f"{name} after {delay}" for name, delay in sorted(late.items(), key=lambda item: item[1]))
    told = ", ".join(sorted(set(later) & OUTCOME - set(earlier)))
    rows = [
        ["Visits under that champion before the change; alarms then", f"{visits}; {', '.join(earlier) or 'none'}"],
        ["Alarms of pictures and answers, with visits from the change", said or "none"],
        ["Alarms of the outcome", told or "none"],
    ]
    return table(["The watch", ""], rows)
