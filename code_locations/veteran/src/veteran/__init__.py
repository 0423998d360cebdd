"""A project that shares a platform, and no library version, with the others."""
