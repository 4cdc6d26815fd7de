"""Makes ranges conclusive: what is missing, the plan, the fetching, the run."""
