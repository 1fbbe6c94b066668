"""How fast the steps are, side by side with what people use today; see docs/speed.md.

Every comparison is a function, which checks that both sides compute the same before it times them
in turns.
"""
