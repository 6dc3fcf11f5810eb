// Unpack the data inside the page, draw the figures, hide runs and sort tables.
// Text from corpora and models reaches the page only through textContent here, or escaped by the template.

const PAPER = 620; // width of a figure on paper, in pixels

async function unpack(id) {
  const bytes = Uint8Array.from(atob($(id).textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// Figures

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
  if ($("scores")) scores(); // a single score is not drawn
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

// Make a table sort by a click on a column: by the cell's leading number, else by its text

function sortable(table) {
  if (table.tBodies[0].rows.length < 2) return;
  const value = (row, column) => {
    const text = (row.cells[column]?.textContent ?? "").trim(); // a cell may span several columns
    const number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if ("unsorted" in head.dataset) return;
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
