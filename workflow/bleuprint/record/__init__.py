"""What a finished run leaves behind: its provenance, and whether two runs are the same."""
