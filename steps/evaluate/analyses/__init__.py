"""Further questions to the same scores: calibration, length, over-optimisation, process.

One file per question. Each gives, for one run on one set, numbers that are functions of ratios of
sums over problems (`measure.py`), so that the paired bootstrap over problems serves them too.
"""
