"""The colours of the report, told apart with every kind of colour vision (after M. Okabe and K. Ito)."""

INK = "#1d2433"
INK_DARK = "#e8eaf0"
MUTED = "#5b6478"
MUTED_DARK = "#a3abbd"
RULE = "#d9dde5"
RULE_DARK = "#3a4254"

INPUT = "#9aa3b2"
SELECTED = "#0072b2"
RANDOM = "#d55e00"
DATAPOOL = "#009e73"

OF_SET = {
    "input": INPUT,
    "selected": SELECTED,
    "random": RANDOM,
    "datapool": DATAPOOL,
    "selected_with_datapool": "#cc79a7",
}
LABEL_OF_SET = {
    "input": "Input",
    "selected": "Selected",
    "random": "Random",
    "datapool": "Datapool",
    "selected_with_datapool": "Selected with datapool",
}
