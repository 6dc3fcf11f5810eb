"""From an experiment to what has to be computed: folders, flags, costs."""
