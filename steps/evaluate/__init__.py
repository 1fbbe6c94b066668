"""Measuring the scores: pair accuracy, best-of-N, first-wrong-step localisation, length.

Every measure is a ratio of sums over problems, so one paired bootstrap over problems serves all.
"""
