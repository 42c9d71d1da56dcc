"""Run folders: every file in one, the data that a run learns from, and the examples that its report shows."""
