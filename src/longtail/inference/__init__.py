"""With a finished network: evaluate, predict, external evaluation, target priors."""
