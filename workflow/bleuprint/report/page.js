"use strict";
// Unpack what the page carries, draw the pictures, and make the tables sort, search and page.
// Text that comes from corpora and models is put in through textContent only, here, or escaped, by the template.

const PAGE = 20; // sentences on a page
const PAPER = 620; // pixels that a picture has on paper
const CELLS = 40000; // of a diff: longer pairs of sentences are not marked
const $ = (id) => document.getElementById(id);
const hidden = new Set(); // names of the runs that are not shown

async function unpack(id) {
  const bytes = Uint8Array.from(atob($(id).textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Pictures

const plots = []; // every drawn element

function colours(fore = getComputedStyle(document.documentElement).getPropertyValue("--fore").trim()) {
  return {
    font: { color: fore, family: "system-ui, sans-serif", size: 13 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "gray", activecolor: fore },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", // a finger scrolls the page
  };
}

function draw(target, figure) {
  const options = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };
  for (const trace of figure.data) trace.visible = !hidden.has(trace.meta && trace.meta.run);
  Plotly.react(target, figure.data, { ...figure.layout, ...colours() }, options);
  if (!plots.includes(target)) plots.push(target);
}

function drawAll(data) {
  const metric = $("metric");
  const scores = () => draw($("scores"), Object.values(data.figures.scores)[metric ? metric.selectedIndex : 0]);
  if (metric) metric.addEventListener("change", scores);
  scores();
  for (const target of document.querySelectorAll("[data-figure]")) {
    draw(target, data.figures[target.dataset.figure][target.dataset.title]);
  }
  for (const choice of document.querySelectorAll("input[name=axis]")) {
    choice.addEventListener("change", () => {
      for (const target of document.querySelectorAll("[data-figure=learning]")) {
        Plotly.restyle(target, { x: target.data.map((trace) => trace.meta[choice.value]) });
        Plotly.relayout(target, {
          "xaxis.title.text": choice.value === "hours" ? "hours of training" : "updates",
          "xaxis.autorange": true,
        });
      }
    });
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => plots.forEach((target) => Plotly.relayout(target, colours()));
  dark.addEventListener("change", recolour);
  // Paper is light, and narrower than most windows
  addEventListener("beforeprint", () => {
    document.querySelectorAll("#answer details, #translations details").forEach((details) => (details.open = true));
    plots.forEach((target) => Plotly.relayout(target, { ...colours("#000"), width: PAPER }));
  });
  addEventListener("afterprint", () =>
    plots.forEach((target) => Plotly.relayout(target, { ...colours(), width: null, autosize: true })),
  );
}

function showRuns() {
  for (const target of plots) {
    const visible = target.data.map((trace) => !hidden.has(trace.meta && trace.meta.run));
    Plotly.restyle(target, { visible });
  }
  for (const part of document.querySelectorAll("main [data-run]")) part.hidden = hidden.has(part.dataset.run);
}

// Tables that sort by a column: by its first number where it has one, else by its text

function sortable(table) {
  const value = (row, column) => {
    const text = (row.cells[column]?.textContent ?? "").trim(); // a cell may span several columns
    const number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = element("button", { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (down ? 1 : -1) * compare(value(a, column), value(b, column)));
      table.tBodies[0].append(...rows);
    });
  });
}

// The words of a sentence that are not in the other one's longest common subsequence with it

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
  const { source, reference, metrics, runs } = data.translations;
  const everything = source.map((_, number) =>
    [source[number], reference[number], ...runs.map((run) => run.hypotheses[number])].join("\n").toLowerCase(),
  );
  const shown = () => runs.filter((run) => !hidden.has(run.name));
  const spread = (number, metric) => {
    const values = shown().map((run) => run.scores[metric][number]);
    return Math.max(...values) - Math.min(...values);
  };
  const mean = (number, metric) => shown().reduce((sum, run) => sum + run.scores[metric][number], 0) / shown().length;
  const last = metrics.length - 1;
  const orders = { "as in the test set": null, "longest source first": (n) => -source[n].length };
  if (metrics.length) {
    orders[`lowest ${metrics[last]} first`] = (n) => mean(n, last);
    orders[`highest ${metrics[last]} first`] = (n) => -mean(n, last);
    if (runs.length > 1) orders[`runs most apart by ${metrics[last]}`] = (n) => -spread(n, last);
  }
  const references = { "the reference": (n) => reference[n], nothing: () => null };
  for (const run of runs) references[data.labels[run.name]] = (n) => run.hypotheses[n];
  $("order").append(...Object.keys(orders).map((name) => element("option", { textContent: name })));
  $("against").append(...Object.keys(references).map((name) => element("option", { textContent: name })));
  const heads = ["sentence", "", "text", ...metrics].map((name) => element("th", { scope: "col", textContent: name }));
  $("sentences").tHead.append(element("tr", {}, ...heads));

  let found = [];
  let page = 0;
  const pages = () => Math.max(1, Math.ceil(found.length / PAGE));

  function line(number, who, text, scores, first) {
    const cells = scores.map((score, place) => {
      const cell = element("td", { className: "score", textContent: score === null ? "" : score.toFixed(1) });
      if (score !== null) cell.dataset.metric = metrics[place];
      return cell;
    });
    const name = element("th", { scope: "row", className: "who", textContent: who });
    const place = element("td", { textContent: first ? `${number + 1}` : "" });
    return element("tr", {}, place, name, element("td", { className: "text" }, ...text), ...cells);
  }

  function render() {
    const against = references[$("against").value];
    const none = metrics.map(() => null);
    for (const body of [...$("sentences").tBodies]) body.remove();
    for (const number of found.slice(page * PAGE, (page + 1) * PAGE)) {
      const lines = [
        line(number, "source", [source[number]], none, true),
        line(number, "reference", [reference[number]], none, false),
        ...shown().map((run) => {
          const scores = run.scores.map((column) => column[number]);
          return line(number, data.labels[run.name], marked(run.hypotheses[number], against(number)), scores, false);
        }),
      ];
      $("sentences").append(element("tbody", {}, ...lines));
    }
    $("count").textContent = `${found.length.toLocaleString("en")} of ${source.length.toLocaleString("en")} sentences`;
    $("page").value = page + 1;
    $("pages").textContent = `of ${pages()}`;
    $("previous").disabled = page === 0;
    $("next").disabled = page >= pages() - 1;
  }

  function update() {
    const wanted = $("search").value.trim().toLowerCase();
    const order = orders[$("order").value];
    found = [...source.keys()].filter((number) => everything[number].includes(wanted));
    if (order) {
      const keys = new Map(found.map((number) => [number, order(number)]));
      found.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
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

function strokes() {
  const dashes = { dash: "7 4", dot: "2 3", dashdot: "7 3 2 3", longdash: "11 4", longdashdot: "11 3 2 3" };
  for (const line of document.querySelectorAll("[data-dash]")) {
    line.setAttribute("stroke-dasharray", dashes[line.dataset.dash] || "none");
  }
}

async function main() {
  strokes();
  document.querySelectorAll("table.sortable").forEach(sortable);
  const data = JSON.parse(await unpack("data"));
  const update = browse(data);
  document.querySelectorAll(".runs input").forEach((box) => {
    box.addEventListener("change", () => {
      box.checked ? hidden.delete(box.dataset.run) : hidden.add(box.dataset.run);
      showRuns();
      update();
    });
  });
  document.head.append(element("script", { textContent: await unpack("plotly") }));
  drawAll(data);
  document.body.dataset.ready = "yes";
}

main();
