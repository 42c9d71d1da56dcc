"""Seeds: what random numbers are drawn for, which is a part of the key that each is drawn from."""

# A key is [seed, use, ...]. No two uses share their random numbers, and none of them changes with another.
ORDER, AUGMENT, DECODE, NETWORK, SUBSET, SPLIT, BOOTSTRAP, EXHIBIT, PRUNE = range(9)
