"""Servers: what accepts connections and runs them."""
