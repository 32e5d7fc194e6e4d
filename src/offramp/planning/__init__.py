"""Floor 3: plans, exact search, Pareto fronts."""
