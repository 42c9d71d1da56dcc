"""Uses of random numbers keep their numbers: a run of an older version draws the same when it is resumed."""

from longtail.runtime import seeds


def test_every_use_has_its_own_number_and_keeps_it() -> None:
    uses = {name: value for name, value in vars(seeds).items() if name.isupper()}
    assert uses == {
        "ORDER": 0,
        "AUGMENT": 1,
        "DECODE": 2,
        "NETWORK": 3,
        "SUBSET": 4,
        "SPLIT": 5,
        "BOOTSTRAP": 6,
        "EXHIBIT": 7,
        "PRUNE": 8,
    }
