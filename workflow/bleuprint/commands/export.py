"""bleuprint export: write a folder that translates with ctranslate2, without fairseq and without bleuprint."""

import shutil
from importlib.metadata import version
from pathlib import Path

import yaml

from bleuprint import letters
from bleuprint.commands.trained import check_recorded, trained
from bleuprint.config.languages import primary
from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.decoding.convert import convert, obstacle, own_type
from bleuprint.files import DataError, read_json, remove, temporary_name
from bleuprint.record.provenance import find, read
from bleuprint.text.segmenters import named
from bleuprint.text.segmenters import path as segmenter_module
from bleuprint.text.tokenisers import TOKENISERS, sides

EXAMPLE = Path(__file__).parent / "exported"
PACKAGES = ("ctranslate2", "pyyaml")
README = """# {run}

A translation model from {source} to {target}, made with bleuprint and exported for CTranslate2 ({compute_type}).

    pip install -r requirements.txt
    python translate.py < text.{source} > text.{target}

`translate.py` reads UTF-8 text, one sentence a line, and writes one line for each; it is an example for your own code.
`model/` holds the model and its vocabulary, `config.yaml` the run's config. `letters.py` brings text into the form that
the model knows, `tokeniser.py` makes tokens of it, and `segmenter.py` with `segmenter.model` makes subwords of them;
`detokeniser.py` makes text of what the model writes.

Scores on the test set of {corpus} ({sentences:,} sentences), with sacreBLEU's signature:

{scores}

The run itself was scored, not this export; int8 may change the scores slightly.

The model was trained on {corpus}. Check that text's licence before you pass the model on (IWSLT14's TED talks:
CC BY-NC-ND; Multi30k: CC BY-NC-SA 4.0).
"""


def export(word: str, folder: Path, compute_type: str | None) -> None:
    """Write the folder, whole or not at all.

    Args:
        word: the run, as `provenance.find` takes it.
        folder: a new folder, or an empty one.
        compute_type: `float32`, or `int8` for a model of a quarter of the size; None: the run's own.

    Raises:
        DataError: the folder is not empty, ctranslate2 cannot run the model, or a file is not as recorded.
    """
    run, known = trained(word), read(find(word))
    compute_type, segmenter = compute_type or own_type(run.config), named(run.config)
    if reason := obstacle(run.config):
        raise DataError(
            f"{reason}; bleuprint translate runs it with fairseq, and bleuprint pack --checkpoint packs it for fairseq."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; name a new folder.")
    check_recorded(known, known["files"], find(word), "scores.json")
    dictionaries = [f"bin/dict.{language}.txt" for language in run.languages]
    for stage, names in {"text": dictionaries, "training": ["checkpoint.pt"]}.items():
        check_recorded(known, known["stages"][stage]["files"], run.folders[stage], *names)
    folder = folder.absolute()
    temporary = temporary_name(folder)
    try:
        temporary.mkdir(parents=True)
        convert(run.config, run.folders, compute_type, temporary / "model")
        shutil.copyfile(run.folders["text"] / SEGMENTERS[segmenter].model, temporary / "segmenter.model")
        shutil.copyfile(segmenter_module(segmenter), temporary / "segmenter.py")
        # The copied modules know languages in two letters
        languages = dict(zip(("source", "target"), map(primary, run.languages), strict=True))
        with open(temporary / "config.yaml", "w", encoding="utf-8") as config:
            yaml.safe_dump(run.config | {"languages": languages}, config, sort_keys=False, allow_unicode=True)
        shutil.copyfile(letters.__file__, temporary / "letters.py")
        shutil.copyfile(EXAMPLE / "translate.py", temporary / "translate.py")
        tokenisers = [TOKENISERS[name] for name in sides(run.config["text"]["tokenizer"])]
        for file, tokeniser in zip(("tokeniser.py", "detokeniser.py"), tokenisers, strict=True):
            shutil.copyfile(tokeniser.path, temporary / file)
        needed = {package for tokeniser in tokenisers for package in tokeniser.packages}
        packages = sorted({*PACKAGES, SEGMENTERS[segmenter].package, *needed})
        requirements = "".join(f"{package}=={version(package)}\n" for package in packages)
        (temporary / "requirements.txt").write_text(requirements, encoding="utf-8")
        (temporary / "README.md").write_text(_readme(find(word), compute_type), encoding="utf-8")
        temporary.rename(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}); name another folder.") from None
    finally:
        remove(temporary)


def _readme(folder: Path, compute_type: str) -> str:
    run = read_json(folder / "scores.json")
    rows = [f"    {name} {metric['score']:.2f}  {metric['signature']}" for name, metric in run["metrics"].items()]
    return README.format(**run | {"compute_type": compute_type, "scores": "\n".join(rows)})
