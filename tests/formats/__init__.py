"""Stores, artifacts and images of every format there was, made by the code of the time, and resumed by today's.

corpus.tar.xz holds a folder for each commit, made by make.py; resume.py has them go on.  `make formats`.
"""
