"""Who serves what, and where: the registry, its clients, and what keeps a server registered."""
