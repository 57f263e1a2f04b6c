"""The command line: `till <noun or verb>`. Every command has its own file; main.py loads only the one that is asked for."""
