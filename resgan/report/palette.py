"""Colours of the page, light and dark, and of the figures, which are always on white.

Tests hold text to a contrast of 4.5 to 1, and lines and edges of controls to 3 to 1 (WCAG 2.2, AA).
"""

LIGHT = {
    "ink": "#1d2433",
    "quiet": "#586174",
    "line": "#e3e6ec",  # between rows; it carries no meaning
    "edge": "#7d8596",  # of controls
    "paper": "#ffffff",
    "shade": "#f6f7f9",
    "link": "#0b57a4",
    "good": "#006b49",
    "good-shade": "#d8efe5",
    "bad": "#a8231b",
    "bad-shade": "#f9dedc",
    "open": "#705300",
    "open-shade": "#fbeecb",
    "plain-shade": "#e8eaef",
}
DARK = {
    "ink": "#e8eaf0",
    "quiet": "#a9b1c1",
    "line": "#333a48",
    "edge": "#7f899c",
    "paper": "#14171e",
    "shade": "#1d222c",
    "link": "#8ab8ff",
    "good": "#5fd3a6",
    "good-shade": "#123a2c",
    "bad": "#ff9d94",
    "bad-shade": "#472320",
    "open": "#e8c766",
    "open-shade": "#3d3315",
    "plain-shade": "#2b3240",
}

# Of figures: Okabe & Ito 2008, distinguishable for colour-blind readers, with an orange that is dark enough for lines.
GREY, ORANGE, BLUE, GREEN, RED, PURPLE = "#6b6b6b", "#c27a00", "#0072b2", "#00946b", "#c65300", "#9a4f86"
LINES = (BLUE, ORANGE, GREEN, RED, PURPLE, GREY)
