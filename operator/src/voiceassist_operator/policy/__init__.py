"""Decides: from what was observed to the plan, its objects and conditions. Pure."""
