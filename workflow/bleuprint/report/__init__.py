"""The report stage: gather the files of each run, compare the runs, and write the tables and the page."""
