"""Chance: what random numbers are for, which is a part of every key that they are drawn from."""

# A key is [seed, use, ...]. No two uses share their random numbers, and none of them changes with another.
ORDER, AUGMENT, DECODE, NETWORK, SUBSET, SPLIT, BOOTSTRAP, EXHIBIT, PRUNE = range(9)
