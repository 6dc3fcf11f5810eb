"""The report stage: gather the files of each run, compare the runs, and write the tables and the page."""

# All that it leaves in its folder, beside its seal
OUTPUTS = ("index.html", "scores.json", "scores.tsv", "scores.txt", "scores.md", "comparison.json")
