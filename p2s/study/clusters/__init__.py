"""Clusters: jobs of machines that are not this one."""
