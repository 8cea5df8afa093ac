"""What vendors' models ask of a desktop, translated to our actions and back: one module a dialect.

Every module has `read`, from a call of its vendor to steps (see steps.py), and `write`, the other way. Reading is
strict: an unknown action, parameter, key or place is an ActionValueError that names it and says what there is, for the
model to read and mend. Writing says exactly what the steps do, or refuses. Decides only; nothing here is evaluated,
and the standard library is all it needs.
"""
