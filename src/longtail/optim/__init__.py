"""Optimisers, and schedules of learning rate and contrastive weight."""
