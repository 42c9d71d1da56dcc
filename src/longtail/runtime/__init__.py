"""Devices, processes, signals and random seeds; nothing here knows of images, classes or recipes."""
