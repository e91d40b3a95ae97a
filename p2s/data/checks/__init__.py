"""Checks: what the health check is made of; see p2s.data.health."""
