"""The report stage: gather what belongs to each run, compare the runs, and write the tables and the page."""
