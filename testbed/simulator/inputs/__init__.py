"""Environments made of real data instead of drawn from specs: sites, users, topologies, capacities of functions, arrivals.

In: data files, images' descriptions, topologies. Out: entities and packet flows, in the units of `units`.
"""
