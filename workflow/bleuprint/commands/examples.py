"""What the help of `bleuprint` ends with: examples of each command, and what an exit status means."""

EXAMPLES = {
    "run": [
        "bleuprint run recipe=demo training.lr=1e-3,2e-3 seed=1,2",
        "bleuprint run model=lightconv -- -n",
        "bleuprint run recipe=demo -- text --cores 1",
    ],
    "explain": ["bleuprint explain model=lightconv seed=1,2"],
    "doctor": ["bleuprint doctor", "bleuprint doctor recipe=demo model=transformer_tiny,lightconv_tiny"],
    "watch": ["bleuprint watch", "bleuprint watch --interval 10"],
    "runs": ["bleuprint runs", "bleuprint runs model=lightconv --sort bleu_tok_lc", "bleuprint runs --json"],
    "diff": ["bleuprint diff transformer_tiny-seed1 lightconv_tiny-seed1"],
    "report": [
        "bleuprint report --baseline transformer_tiny",
        "bleuprint report transformer_tiny-seed1 lightconv_tiny-seed1 --output paper",
        "bleuprint report 43fc1903 ../other/results/runs/*",
    ],
    "clean": ["bleuprint clean --dry-run", "bleuprint clean", "bleuprint clean transformer_tiny-seed1"],
    "verify": ["bleuprint verify", "bleuprint verify transformer_tiny-seed1"],
    "replay": ["bleuprint replay transformer_tiny-seed1", "bleuprint replay 43fc1903 --folder ../again --cores 2"],
    "pack": ["bleuprint pack transformer_tiny-seed1", "bleuprint pack 43fc1903 --checkpoint --output paper.tar.gz"],
    "translate": [
        "bleuprint translate --run transformer_tiny-seed1 letter.de",
        "echo 'Das ist gut.' | bleuprint translate --run 43fc1903 --beam 8",
    ],
    "export": ["bleuprint export transformer_tiny-seed1 model --compute-type int8"],
    "completion": [
        "bleuprint completion bash >> ~/.bashrc",
        "bleuprint completion zsh >> ~/.zshrc",
        "bleuprint completion fish > ~/.config/fish/completions/bleuprint.fish",
    ],
}

STATUS = """exit status:
  0    it ended well; so does watch when Ctrl-C stops it
  1    something is wrong, and the last line says what; or verify or replay has
       found a difference, runs could not read a run, or the answer to clean
       was no
  2    the command line cannot be read
  130  stopped by Ctrl-C
  The status of bleuprint run is Snakemake's: 1 also when Ctrl-C has stopped its
  jobs."""
