"""Trains, compares and compresses models on what `martlet features` wrote."""
