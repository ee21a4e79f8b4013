"""Canaries: secrets of known values go everywhere a program can send them and come back in every spelling, and then every
surface is searched for them."""
