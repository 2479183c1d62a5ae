"""The model kit: from recorded ticks to a pruned model in production."""
