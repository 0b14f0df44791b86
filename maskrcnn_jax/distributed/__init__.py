"""Devices and processes: the mesh, and what each of its devices computes."""
