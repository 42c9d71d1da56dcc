"""The type checker of the tests: an `int` is welcome where a `float` is, as everywhere in Python's typing."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
