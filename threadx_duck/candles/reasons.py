"""The reasons why a minute is absent, from the view `gaps`: their order, labels and colours."""

from __future__ import annotations

# In the order in which the view `gaps` tests them; the first that holds counts.
REASONS = ("not_downloaded", "rejected", "outage", "not_published")

LABELS = {
    "not_downloaded": "not downloaded",
    "rejected": "rejected",
    "outage": "outage of the exchange",
    "not_published": "not published by the exchange",
}

# The colours on a light and on a dark screen.
COLOURS = {
    "not_downloaded": ("#f0b429", "#d99e1c"),
    "rejected": ("#b5179e", "#e05ccb"),
    "outage": ("#2f6fde", "#5d95f5"),
    "not_published": ("#8b95a1", "#737c88"),
}
