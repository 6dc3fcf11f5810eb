"use strict";
// The table of translations: search, order, mark differences, and show one page at a time.
// Text from corpora and models reaches the page only through textContent.

const PAGE = 20; // sentences on a page
const CELLS = 40000; // of the comparison of two sentences, words × words; differences of longer ones are not marked
const $ = (id) => document.getElementById(id);
const hidden = new Set(); // names of the runs that are not shown

function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
}

// Return the positions of the words that are not part of the longest common subsequence with the other sentence

function changedWords(words, others) {
  const low = (list) => list.map((word) => word.toLowerCase());
  const [a, b] = [low(words), low(others)];
  if (a.length * b.length > CELLS) return new Set();
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const changed = new Set();
  for (let i = 0, j = 0; i < a.length; ) {
    if (j < b.length && a[i] === b[j]) {
      i++;
      j++;
    } else if (j < b.length && common[i * width + j + 1] >= common[(i + 1) * width + j]) {
      j++;
    } else {
      changed.add(i++);
    }
  }
  return changed;
}

function marked(text, other) {
  if (other === null || text === other) return [text];
  const words = text.split(/(\s+)/);
  const changed = changedWords(words.filter((_, place) => place % 2 === 0), other.split(/\s+/));
  return words.map((word, place) =>
    place % 2 === 0 && word && changed.has(place / 2) ? element("mark", { textContent: word }) : word,
  );
}

// The table of translations

function browse(data) {
  const { source, references, metrics, order: best, runs } = data.translations;
  const called = (place) => (place ? `reference ${place + 1}` : "reference");
  const everything = source.map((_, number) =>
    [source[number], ...references.map((lines) => lines[number]), ...runs.map((run) => run.hypotheses[number])].join("\n").toLowerCase(),
  );
  const shown = () => runs.filter((run) => !hidden.has(run.name));
  const spread = (number, metric) => {
    const values = shown().map((run) => run.scores[metric][number]);
    return Math.max(...values) - Math.min(...values);
  };
  const mean = (number, metric) => shown().reduce((sum, run) => sum + run.scores[metric][number], 0) / shown().length;
  const orders = { "as in the test set": null, "longest source first": (n) => -source[n].length };
  if (metrics.length) {
    orders[`lowest ${metrics[best]} first`] = (n) => mean(n, best);
    orders[`highest ${metrics[best]} first`] = (n) => -mean(n, best);
    if (runs.length > 1) orders[`largest ${metrics[best]} difference between runs first`] = (n) => -spread(n, best);
  }
  const others = {}; // what translations are compared with
  references.forEach((lines, place) => (others[`the ${called(place)}`] = (n) => lines[n]));
  others.nothing = () => null;
  if (runs.length > 1) for (const run of runs) others[data.labels[run.name]] = (n) => run.hypotheses[n];
  $("order").append(...Object.keys(orders).map((name) => element("option", { textContent: name })));
  $("against").append(...Object.keys(others).map((name) => element("option", { textContent: name })));
  const heads = ["sentence", "line", "text", ...metrics].map((name) => element("th", { scope: "col", textContent: name }));
  $("sentences").tHead.append(element("tr", {}, ...heads));

  let matches = []; // numbers of the sentences that the search found, in order
  let page = 0;
  const pages = () => Math.max(1, Math.ceil(matches.length / PAGE));

  function line(number, who, text, scores, first) {
    const cells = scores.map((score, place) => {
      const cell = element("td", { className: "score", textContent: score === null ? "" : score.toFixed(1) });
      if (score !== null) cell.dataset.metric = metrics[place];
      return cell;
    });
    const name = element("th", { scope: "row", className: "who" }, element("bdi", { textContent: who }));
    const place = element("td", { textContent: first ? `${number + 1}` : "" });
    return element("tr", {}, place, name, element("td", { className: "text", dir: "auto" }, ...text), ...cells);
  }

  function render() {
    const against = others[$("against").value];
    const none = metrics.map(() => null);
    for (const body of [...$("sentences").tBodies]) body.remove();
    for (const number of matches.slice(page * PAGE, (page + 1) * PAGE)) {
      const lines = [
        line(number, "source", [source[number]], none, true),
        ...references.map((lines, place) => line(number, called(place), [lines[number]], none, false)),
        ...shown().map((run) => {
          const scores = run.scores.map((column) => column[number]);
          return line(number, data.labels[run.name], marked(run.hypotheses[number], against(number)), scores, false);
        }),
      ];
      $("sentences").append(element("tbody", {}, ...lines));
    }
    $("count").textContent = `${matches.length.toLocaleString("en")} of ${source.length.toLocaleString("en")} sentences`;
    $("page").value = page + 1;
    $("pages").textContent = `of ${pages()}`;
    $("previous").disabled = page === 0;
    $("next").disabled = page >= pages() - 1;
  }

  function update() {
    const wanted = $("search").value.trim().toLowerCase();
    const order = orders[$("order").value];
    matches = [...source.keys()].filter((number) => everything[number].includes(wanted));
    if (order) {
      const keys = new Map(matches.map((number) => [number, order(number)]));
      matches.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
    }
    page = 0;
    render();
  }

  function turn(to) {
    page = Math.min(Math.max(0, to), pages() - 1);
    render();
    $("browse").scrollIntoView();
  }

  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("search").addEventListener("input", update);
  $("order").addEventListener("change", update);
  $("against").addEventListener("change", render);
  $("previous").addEventListener("click", () => turn(page - 1));
  $("next").addEventListener("click", () => turn(page + 1));
  $("page").addEventListener("change", () => turn((parseInt($("page").value, 10) || 1) - 1));
  update();
  return update;
}
