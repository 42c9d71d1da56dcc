"""The loop: from a recipe to a filled run folder."""
