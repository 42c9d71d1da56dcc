"""Before a training: what is recommended for custom data, what it will cost, and the page of the audit."""
