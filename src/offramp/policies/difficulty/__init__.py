"""Policies that choose where a sample begins before anything is computed, from features that are nearly free."""
