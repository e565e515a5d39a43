"""Sweeps on one machine: the search space of a W&B sweep file, and what is tried next in it."""
