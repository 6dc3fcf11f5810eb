"""The report's page in a real browser: offline, sorted, searched, hidden runs, hostile text, phone, dark, keyboard."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import MISSING, Browser, chromium, visit
from conftest import ROOT
from made_up import METRICS, REFERENCES, make_run, noisy
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from bleuprint.corpus.iwslt14 import read_archive
from bleuprint.files import visible
from bleuprint.report.gather import read_config
from bleuprint.report.write import write

HOSTILE = [
    "<script>window.hacked = 1</script>",
    "</script><img src=x onerror='window.hacked = 2'>",
    "<!-- <b>bold</b> & &amp; {{ 7 * 7 }} \\u2028 ' \"",
    "\u202ereversed \u2067\u05d0\x1b[31m\x85",
]


def report(runs: list[dict[str, Any]]) -> Path:
    folder = Path("results/report").absolute()
    write(folder, [Path("results/runs", run["run"], "scores.json") for run in runs], None, 2, [])
    return folder / "index.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two groups of two seeds; the first group's first translations are hostile."""
    folder = tmp_path_factory.mktemp("page")
    source = [f"quelle {n}" for n in range(len(REFERENCES))]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runs = []
        for model, share, begin in (("transformer", 0.3, HOSTILE), ("lightconv", 0.1, [])):
            for seed in (1, 2):
                hypotheses = begin + noisy(REFERENCES, share, seed)[len(begin) :]
                runs.append(make_run(model, seed, hypotheses, source=source))
        return report(runs)


@pytest.fixture(scope="module")
def driver() -> Iterator[Browser]:
    with chromium() as browser:
        if browser is None:
            pytest.skip(MISSING)
        yield browser


def texts(driver: Browser, selector: str) -> list[str]:
    return [found.text for found in driver.find_elements(By.CSS_SELECTOR, selector)]


def test_it_opens_without_errors_and_without_a_request(driver: Browser, page: Path) -> None:
    visit(driver, page)
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert [url for url in asked if url.startswith("file:")] == [page.as_uri()]
    titles = driver.execute_script("return [...document.querySelectorAll('.plot')].map(p => p.layout.xaxis.title.text)")
    assert titles == [
        "bleu_tok_lc",
        "updates",
        "updates",
        "updates",
    ]  # scores and curves: each drawn, its axis labelled


def test_one_or_two_points_are_told_and_not_drawn(driver: Browser, page: Path) -> None:
    """The made-up runs were validated twice, and all their sentences are of one length class."""
    visit(driver, page)
    assert texts(driver, "#learning figcaption") == ["Training loss", "Learning rate", "Training speed, smoothed"]
    assert texts(driver, "#learning tbody tr")[0] == "transformer, seed 1 6.9 at 100; 4.9 at 200 10 at 100; 20 at 200"
    assert texts(driver, "#translations figcaption") == []
    assert "at 1–10 (60)" in texts(driver, "#translations tbody tr")[0]


def test_one_run_is_not_compared(driver: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run()
    visit(driver, report([run]), width=390)
    assert driver.get_log("browser") == []
    score = f"{run['metrics']['bleu_tok_lc']['score']:.2f}"
    assert texts(driver, "h1") == [f"transformer: bleu_tok_lc {score}"]
    assert driver.find_elements(By.CSS_SELECTOR, ".runs, #scores, #differences, [href='#differences'], th button") == []
    for option in Select(driver.find_element(By.ID, "against")).options:
        assert option.text in ("the reference", "nothing")
    answer = driver.find_element(By.ID, "answer").text
    assert "No published score is known for the corpus demo with the recipe demo: compare these scores only" in answer
    assert "BLEU of the tokenised text, lower-cased; higher is better" in answer
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
    boxes = (
        "return [...document.querySelectorAll('#answer .wide, #cost .wide')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert set(driver.execute_script(boxes)) == {0}


def test_links_lead_to_the_files_of_each_run(driver: Browser, page: Path) -> None:
    visit(driver, page)
    links = driver.find_elements(By.CSS_SELECTOR, "#answer .files")[0].find_elements(By.TAG_NAME, "a")
    assert [link.text for link in links] == ["translations", "log", "config", "commands"]
    names = ["hypotheses.txt", "train.log", "config.yaml", "commands.sh"]
    folder = page.parent.parent / "runs/demo-transformer-seed1"
    assert [link.get_attribute("href") for link in links] == [(folder / name).as_uri() for name in names]
    assert all((folder / name).exists() for name in names)


def test_tick_labels_are_plain_numbers(driver: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run()
    rows = [
        {"split": "train", "updates": n * 10**5, "epoch": 1, "lr": n * 1e-7, "words_per_second": n * 3e4}
        for n in range(1, 9)
    ]
    Path(run["stages"]["training"], "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    visit(driver, report([run]))
    labels = driver.execute_script("return [...document.querySelectorAll('.xtick, .ytick')].map(t => t.textContent)")
    assert {"200,000", "0.0000004", "100,000"} <= set(labels)
    assert all(re.fullmatch(r"[\d,.]+", label) for label in labels)


def test_text_of_either_direction_is_isolated(driver: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = [f"שלום {n}!" for n in range(len(REFERENCES))]
    visit(driver, report([make_run(model, source=source) for model in ("transformer", "lightconv")]))
    style = """const style = getComputedStyle(arguments[0]);
        return [style.direction, style.textAlign, style.unicodeBidi]"""
    source_line, reference = driver.find_elements(By.CSS_SELECTOR, "#sentences td.text")[:2]
    assert driver.execute_script(style, source_line) == ["rtl", "start", "plaintext"]
    assert driver.execute_script(style, reference) == ["ltr", "start", "plaintext"]
    for selector in ("#sentences .who", ".runs label", "#answer tbody th", "#differences thead th[data-run]"):
        for label in driver.find_elements(By.CSS_SELECTOR, selector):
            assert label.find_elements(By.TAG_NAME, "bdi"), selector


def test_everything_has_its_name_and_place_for_those_who_listen(driver: Browser, page: Path) -> None:
    """Headings in order, header cells with a scope and a text, labelled controls and regions, no identifier twice.

    Nothing to press inside a picture, and no text outside of landmarks: these two axe-core 4.14 had found.
    """
    visit(driver, page)
    driver.execute_script("document.querySelectorAll('details').forEach(details => { details.open = true })")
    levels = driver.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    faults = """return [
        ...[...document.querySelectorAll('th')].filter(th => !th.scope || !th.textContent.trim()),
        ...[...document.querySelectorAll('table')].filter(table => !table.querySelector('thead th[scope=col]')),
        ...[...document.querySelectorAll('input, select')].filter(e => ![...e.labels].some(l => l.innerText.trim())),
        ...[...document.querySelectorAll('[role=region], [role=img], [role=group], nav')].filter(e => !e.ariaLabel),
        ...[...document.querySelectorAll('[role=img]')].filter(e => e.querySelector('a, button, [tabindex]')),
        ...[...document.body.children].filter(e => e.innerText?.trim() && e.checkVisibility()
            && !e.matches('header, main, section[aria-label], a.skip')),
        ...[...document.querySelectorAll('[id]')].filter(e => document.querySelectorAll(`[id="${e.id}"]`).length > 1),
    ].map(e => e.outerHTML.slice(0, 200))"""
    assert driver.execute_script(faults) == []


def test_two_runs_are_side_by_side_and_whole(driver: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a desktop nothing needs scrolling sideways; on a phone a key breaks only after a dot or an underscore."""
    monkeypatch.chdir(tmp_path)
    keys = {"encoder_kernel_size_list": "[3, 7, 15, 31, 31, 31]", "arch": "transformer_iwslt_de_en"}
    runs = [make_run(model) for model in ("transformer", "lightconv")]
    for run in runs:
        path = Path("results/runs", run["run"], "config.yaml")
        config = read_config(run)
        path.write_text(json.dumps(config | {"model": {key: f"{run['model']} {keys[key]}" for key in keys}}))
    index = report(runs)
    visit(driver, index)
    assert texts(driver, "#cost thead th") == ["of each run", "transformer, seed 1", "lightconv, seed 1"]
    assert "parameters 1,234 1,234" in texts(driver, "#cost tbody tr")
    boxes = """document.querySelectorAll('details').forEach(details => { details.open = true });
        return [...document.querySelectorAll('.wide')].map(e => e.scrollWidth - e.clientWidth)"""
    assert set(driver.execute_script(boxes)) == {0}
    visit(driver, index, width=390)
    rendered = texts(driver, "#differences th code")
    assert "model.arch" in rendered and "".join(rendered).count("model.") == 2
    heights = driver.execute_script(
        "return [...document.querySelectorAll('#differences th code')].map(e => e.offsetHeight)"
    )
    assert max(heights) < 120  # five lines, one for each word of the longest


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_what_is_behind_it(dark: bool) -> None:
    """Contrast as WCAG 2 defines it: 4.5 for text."""
    css = (ROOT / "workflow/bleuprint/report/page.css").read_text()
    colours = dict(re.findall(r"--(\w+): #(\w+);", css.split(":root")[2 if dark else 1]))

    def light(name: str) -> float:
        digits = colours[name] if len(colours[name]) == 6 else "".join(2 * digit for digit in colours[name])
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for text, behind in itertools.product(("fore", "soft", "link"), ("back", "panel")):
        low, high = sorted((light(text), light(behind)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, behind)
    low, high = sorted((light("fore"), light("mark")))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_nothing_in_the_file_points_to_a_server(page: Path) -> None:
    html = page.read_text()
    body = re.sub(r'<script type="text/plain".*?</script>', "", html, flags=re.S)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", body)
    assert "default-src 'none'" in html


def test_the_table_of_groups_sorts(driver: Browser, page: Path) -> None:
    visit(driver, page)
    labels = "#answer table.sortable tbody th"
    assert texts(driver, labels)[:2] == ["lightconv", "transformer"]
    for wanted, order in (("descending", ["lightconv", "transformer"]), ("ascending", ["transformer", "lightconv"])):
        head = driver.find_elements(By.CSS_SELECTOR, "#answer thead th")[2]
        head.find_element(By.TAG_NAME, "button").click()
        assert head.get_attribute("aria-sort") == wanted
        assert texts(driver, labels)[:2] == order


def test_the_table_of_tests_sorts_with_rows_that_were_not_compared(
    driver: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ter = {"ter": {"metric": "ter", "text": "tokens", "lowercase": True, "tokenize": None}}
    both = [make_run(), make_run("lightconv", hypotheses=noisy(REFERENCES, 0.5, 2))]
    visit(driver, report([*both, make_run("dynamicconv", metrics=ter)]))
    driver.execute_script("document.querySelector('#answer details').open = true")
    for head in driver.find_elements(By.CSS_SELECTOR, "#answer details thead button"):
        head.click()
    assert driver.get_log("browser") == []
    assert texts(driver, "#answer details th[aria-sort]") == ["signatures"]
    problems = texts(driver, "#answer details td[colspan]")
    assert len(problems) == 3 and all("not computed for both" in text for text in problems)


def test_one_click_hides_a_run_everywhere(driver: Browser, page: Path) -> None:
    visit(driver, page)
    visible = """return [...document.querySelectorAll('.plot')].flatMap(p => p.data)
        .filter(t => t.meta && t.meta.run === 'demo-lightconv-seed1').map(t => t.visible)"""
    assert set(driver.execute_script(visible)) == {True}
    assert "lightconv, seed 1" in texts(driver, "#sentences .who")
    driver.find_element(By.CSS_SELECTOR, "input[data-run=demo-lightconv-seed1]").click()
    assert set(driver.execute_script(visible)) == {False}
    assert "lightconv, seed 1" not in texts(driver, "#sentences .who")
    assert "lightconv, seed 1" not in texts(driver, "#cost tbody th, #differences thead th")
    driver.find_element(By.CSS_SELECTOR, "input[data-run=demo-lightconv-seed1]").click()
    assert "lightconv, seed 1" in texts(driver, "#sentences .who")


def test_search_finds_in_source_and_hypotheses(driver: Browser, page: Path) -> None:
    visit(driver, page)
    search = driver.find_element(By.ID, "search")
    search.send_keys("Quelle 17")
    assert driver.find_element(By.ID, "count").text == "1 of 60 sentences"
    assert texts(driver, "#sentences tbody td:first-child")[0] == "18"
    search.clear()
    search.send_keys("no such words")
    assert driver.find_element(By.ID, "count").text == "0 of 60 sentences"


def test_pages_and_orders(driver: Browser, page: Path) -> None:
    visit(driver, page)
    assert len(driver.find_elements(By.CSS_SELECTOR, "#sentences tbody")) == 20
    driver.find_element(By.ID, "next").click()
    assert texts(driver, "#sentences tbody td:first-child")[0] == "21"
    Select(driver.find_element(By.ID, "order")).select_by_visible_text("largest chrf difference between runs first")
    runs = [text for text in texts(driver, "#sentences tbody:nth-of-type(1) .score") if text]
    assert driver.find_element(By.ID, "page").get_attribute("value") == "1"
    chrf = [float(text) for text in runs[1::2]]
    assert max(chrf) - min(chrf) > 20


def test_marks_show_what_differs_from_the_reference_or_a_run(driver: Browser, page: Path) -> None:
    visit(driver, page)
    driver.find_element(By.ID, "search").send_keys("quelle 30")
    marks = texts(driver, "#sentences mark")
    assert marks and set(marks) <= {"x"}  # the made-up runs put x for a word
    against = Select(driver.find_element(By.ID, "against"))
    against.select_by_visible_text("lightconv, seed 1")
    row = driver.find_element(By.XPATH, "//table[@id='sentences']//tr[th='lightconv, seed 1']")
    assert row.find_elements(By.TAG_NAME, "mark") == []
    against.select_by_visible_text("nothing")
    assert texts(driver, "#sentences mark") == []


def test_all_references_of_a_sentence_are_shown(
    driver: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chrf = METRICS["chrf"]
    metrics = {"bleu": METRICS["bleu_tok_lc"] | {"tokenize": "char"}, "chrf": chrf, "ter": chrf | {"metric": "ter"}}
    second = [line.replace("cat", "tiger") for line in REFERENCES]
    visit(driver, report([make_run(further=(second,), metrics=metrics)]))
    lines = texts(driver, "#sentences tbody:nth-of-type(1) th")
    assert lines == ["source", "reference", "reference 2", "transformer, seed 1"]
    assert texts(driver, "#sentences tbody:nth-of-type(1) .text")[2] == second[0]
    against = [option.text for option in Select(driver.find_element(By.ID, "against")).options]
    assert against == ["the reference", "the reference 2", "nothing"]
    driver.find_element(By.ID, "search").send_keys("tiger")
    assert driver.find_element(By.ID, "count").text == "20 of 60 sentences"
    assert texts(driver, "#sentences thead th")[3:] == ["chrf", "bleu (characters)", "ter"]
    assert "lowest chrf first" in [option.text for option in Select(driver.find_element(By.ID, "order")).options]
    assert driver.get_log("browser") == []


def test_hostile_translations_are_text(driver: Browser, page: Path) -> None:
    visit(driver, page)
    Select(driver.find_element(By.ID, "against")).select_by_visible_text("nothing")
    shown = texts(driver, "#sentences .text")
    for line in HOSTILE:
        assert visible(line) in shown
    for details in driver.find_elements(By.TAG_NAME, "details"):
        driver.execute_script("arguments[0].open = true", details)
    assert any(HOSTILE[0] in text for text in texts(driver, "#translations details dd"))
    assert driver.execute_script("return window.hacked") is None
    assert driver.find_elements(By.CSS_SELECTOR, "main img, main b") == []


def test_wall_clock_time_instead_of_updates(driver: Browser, page: Path) -> None:
    visit(driver, page)
    axis = """const p = document.querySelector('[data-title="Training loss"]');
        return [p.layout.xaxis.title.text, p.data[0].x]"""
    assert driver.execute_script(axis) == ["updates", [50, 100, 150, 200]]
    driver.find_element(By.CSS_SELECTOR, "input[value=hours]").click()
    title, hours = driver.execute_script(axis)
    assert title == "hours of training"
    assert hours == pytest.approx([25 / 3600, 50 / 3600, 75 / 3600, 100 / 3600], abs=1e-5)


def test_it_is_used_with_the_keyboard_alone(driver: Browser, page: Path) -> None:
    visit(driver, page)
    focus = "return document.activeElement.textContent + (document.activeElement.dataset.run || '')"
    reached = []
    for _ in range(20):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(driver.execute_script(focus))
    assert "demo-transformer-seed1" in reached and "bleu_tok_lc" in reached
    driver.execute_script("document.querySelectorAll('#answer thead button')[2].focus()")
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert texts(driver, "#answer table.sortable tbody th")[:2] == ["transformer", "lightconv"]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_no_sideways_scrolling_at_any_width(driver: Browser, page: Path, width: int) -> None:
    visit(driver, page, width=width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    wide = "return [...document.querySelectorAll('.plot svg.main-svg')].map(s => s.getBoundingClientRect().right)"
    assert max(driver.execute_script(wide)) <= width


def test_light_and_dark(driver: Browser, page: Path) -> None:
    seen = []
    for dark in (False, True):
        visit(driver, page, dark=dark)
        plot = "return document.querySelector('.plot').layout.font.color"
        seen.append((driver.execute_script("return getComputedStyle(document.body).backgroundColor"), plot))
        seen[-1] = (seen[-1][0], driver.execute_script(plot))
    assert seen == [("rgb(255, 255, 255)", "#1b1b1b"), ("rgb(22, 24, 27)", "#e8e8e8")]


def test_on_paper_pictures_are_dark_on_light_and_fit(driver: Browser, page: Path) -> None:
    visit(driver, page, dark=True)
    driver.execute_script("""addEventListener('beforeprint', () => {
        window.printed = [...document.querySelectorAll('.plot')].map(p => [p.layout.font.color, p.layout.width])})""")
    assert driver.print_page()
    assert {tuple(found) for found in driver.execute_script("return window.printed")} == {("#000", 620)}
    assert driver.execute_script("return document.querySelector('.plot').layout.font.color") == "#e8e8e8"


def test_the_full_test_set_fits_in_five_megabytes_and_is_paged(
    driver: Browser, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 6,750 genuine sentences, two runs: the file's size, and only a page of them in the document."""
    monkeypatch.chdir(tmp_path)
    parts = read_archive(data / "iwslt14_sample/de-en.tgz", ("de", "en"))
    source, references = parts["test.de"], parts["test.en"]
    assert len(references) == 6750
    runs = [
        make_run(model, 1, shuffled(references, seed), references, source, metrics={"chrf": METRICS["chrf"]})
        for seed, model in enumerate(("transformer", "lightconv"))
    ]
    index = report(runs)
    assert index.stat().st_size < 5e6
    visit(driver, index)
    assert driver.find_element(By.ID, "count").text == "6,750 of 6,750 sentences"
    assert texts(driver, "#translations figcaption") == ["Score by source length"]
    assert len(driver.find_elements(By.CSS_SELECTOR, "#sentences tbody")) == 20
    driver.find_element(By.ID, "search").send_keys("thank you")
    found = int(driver.find_element(By.ID, "count").text.split()[0])
    sentences = zip(source, references, *map(hypotheses, runs), strict=True)
    assert found == sum(any("thank you" in line.lower() for line in lines) for lines in sentences)
    Select(driver.find_element(By.ID, "order")).select_by_visible_text("lowest chrf first")
    assert driver.get_log("browser") == []


def shuffled(lines: list[str], seed: int) -> list[str]:
    """Text as hard to compress as real hypotheses: each line with one word taken from another line."""
    words = [line.lower().split() for line in lines]
    for n, row in enumerate(words):
        row[(n * 7 + seed) % len(row)] = words[(n * 31 + seed) % len(words)][0]
    return [" ".join(row) for row in words]


def hypotheses(run: dict[str, Any]) -> list[str]:
    return Path(run["stages"]["decoding"], "hypotheses.txt").read_text().splitlines()


TINY = "The test set has only 60 pairs, too few to compare two systems; 1,000 are usual."


def test_each_text_is_checked_once_and_leaks_are_noted(
    driver: Browser, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit(driver, page)
    assert texts(driver, "#text h3") == ["demo"] and texts(driver, "#text .note") == [TINY]
    rows = [row.text.split() for row in driver.find_elements(By.CSS_SELECTOR, "#text tbody tr")]
    assert texts(driver, "#text thead th")[1:3] == ["train", "test"] and rows[0] == ["all", "100", "60"]
    monkeypatch.chdir(tmp_path)
    hostile = [*HOSTILE, *REFERENCES[len(HOSTILE) :]]
    source = [f"quelle {n}" for n in range(len(REFERENCES))]
    leaky = make_run("lightconv", references=hostile, source=source, corpus="other", leaking=3)
    visit(driver, report([make_run(source=source), leaky]), width=320)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 320
    assert texts(driver, "#text h3")[1].startswith("other: ")
    (note,) = [note for note in texts(driver, "#text .note") if note != TINY]
    assert note.startswith("3 of 60 test pairs (5.00 %) are in train too")
    driver.execute_script("document.querySelectorAll('#text details').forEach(one => { one.open = true })")
    assert any(HOSTILE[0] in text for text in texts(driver, "#text dd"))
    assert driver.execute_script("return window.hacked") is None
    assert any(text.startswith("other: 3 of 60 test pairs") for text in texts(driver, "#answer .words li"))
