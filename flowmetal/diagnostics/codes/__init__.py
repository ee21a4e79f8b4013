"""The words of every error, one file a stage; each file has a dict CODES from code to Entry."""
