"""What a user types: one module for each of bleuprint's commands, and one for a call of Snakemake."""
