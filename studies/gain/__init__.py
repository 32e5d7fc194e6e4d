"""Deciding on gain: what errors and offloads cost under several rules, over the price of an offload."""
