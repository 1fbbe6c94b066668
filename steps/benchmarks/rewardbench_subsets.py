"""The subsets of RewardBench: plain data of the publisher.

Rows of the split `filtered` and the sections are those of the data set's card and of
`rewardbench/constants.py` of the PyPI package `rewardbench` 0.1.4; rows of the prior sets those of
its `tests/test_data.py`.
"""

ROWS = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 447,
        "hep-cpp": 164,
        "hep-go": 164,
        "hep-java": 164,
        "hep-js": 164,
        "hep-python": 164,
        "hep-rust": 164,
    },
}
# A subset weighs as many as it has rows, but for this one: mathematics counts as much as code does.
WEIGHTS = {"math-prm": 984}

# Those that LLMBar and HumanEvalPack hold too, see `steps.benchmarks.rebuild`.
REBUILT = {
    name: rows
    for section in ROWS.values()
    for name, rows in section.items()
    if name.startswith(("llmbar-", "hep-"))
}

# Of the old leaderboard, from `allenai/pref-test-sets`; each weighs the same.
PRIOR_SECTION = "Prior Sets"
PRIOR_ROWS = {"anthropic_helpful": 6192, "anthropic_hhh": 221, "shp": 1741, "summarize": 9000}
# In the old overall, a section weighs 2 and the prior sets 1.
SECTION_WEIGHT, PRIOR_WEIGHT = 2, 1
