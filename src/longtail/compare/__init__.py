"""Several trainings side by side: run, resume and compare them, and the published rows."""
