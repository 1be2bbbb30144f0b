/* The table of runs: filter, sort, choice. Rows are reused, so that focus and scroll stay where they are. */
"use strict";
(function (rlgen) {
  const { element, button, format, view, runs } = rlgen;
  const FIRST = 200;  // rows shown before "Show all"
  const share = (run) => (run.budget ? Math.min(1, (run.time || 0) / run.budget) : 0);
  const COLUMNS = [  // key, heading, value to sort by, text, class; "extra" ones are shown in the wide table
    ["name", "Run", (r) => r.name, null, ""],
    ["status", "Status", (r) => r.status, null, "extra"],
    ["score", "Score", (r) => r.score ?? r.best, (r) => score(r.score ?? r.best, r), "number"],
    ["started", "Age", (r) => r.started, (r) => format.age(r.started), "number"],
    ["algorithm", "Algorithm", (r) => r.algorithm, (r) => r.algorithm, "extra"],
    ["task", "Task", (r) => r.task, (r) => r.task, "extra"],
    ["preset", "Preset", (r) => r.preset, (r) => r.preset || "–", "extra"],
    ["seeds", "Seeds", (r) => r.seeds, (r) => format.number(r.seeds), "extra number"],
    ["best", "Best", (r) => r.best, (r) => score(r.best, r), "extra number"],
    ["time", "Trained", (r) => r.time, (r) => `${format.number(r.time)} ${r.unit || ""}`, "extra number"],
    ["seconds", "Duration", (r) => r.seconds, (r) => format.duration(r.seconds), "extra number"],
    ["tags", "Tags", (r) => (r.tags || []).join(" "), (r) => (r.tags || []).join(", ") || "–", "extra"],
    ["note", "Note", (r) => r.note, (r) => r.note || "–", "extra"],
  ];
  const score = (value, run) => (typeof value === "number" && (run.score_format || "").includes("%") ? format.percent(value) : format.number(value));
  const rows = new Map();
  const body = element("tbody", { on: { keydown: arrows } });
  const heads = element("tr");
  const message = element("p", { class: "faint", role: "status" });
  const rest = button("", () => {
    limit = Infinity;
    render();
  }, { class: "link", hidden: true });
  const filter = element("input", {
    type: "search", id: "filter", placeholder: "name, algorithm, task, tag …", spellcheck: "false", autocomplete: "off",
    on: { input: (event) => view.set("filter", event.target.value) },
  });
  const all = element("input", { type: "checkbox", "aria-label": "Choose all listed runs, or none", on: { change: chooseAll } });
  let limit = FIRST;
  let listed = [];

  function row(run) {
    const id = `run-${rows.size}`;
    const box = element("input", { type: "checkbox", id, on: { change: (e) => runs.choose(run.name, e.target.checked) } });
    const cells = COLUMNS.map(([key, , , , kind]) => element("td", { class: `in-${key} ${kind}` }));
    const name = button("", () => focus(run.name), { class: "link name" });
    const about = element("span", { class: "about" });
    const state = element("span", { class: "status" });
    const bar = element("progress", { max: 1, "aria-label": "share of the budget" });
    cells[0].append(name, about, bar);
    cells[1].append(state);
    const tr = element("tr", { on: { mouseenter: () => view.set("hover", run.name), mouseleave: () => view.set("hover", "") } },
      element("td", { class: "choose" }, element("label", { class: "swatch" }, box)), ...cells);
    const made = { tr, box, cells, name, about, state, bar, text: "" };
    rows.set(run.name, made);
    return made;
  }

  function focus(name) {
    if (!(view.runs || []).includes(name)) runs.choose(name);
    view.set("focus", name);
  }

  function fillRow(run) {
    const made = rows.get(run.name) || row(run);
    const chosen = (view.runs || []).includes(run.name);
    made.tr.classList.toggle("chosen", chosen);
    made.tr.classList.toggle("focused", view.focus === run.name);
    made.box.checked = chosen;
    made.tr.style.setProperty("--series", chosen ? runs.color(run.name) : "transparent");
    const ages = Math.floor(Date.now() / 60000);  // "3 min ago" is written anew each minute
    const text = JSON.stringify(run) + ages;
    if (made.text === text) return made.tr;
    made.text = text;
    made.name.textContent = run.name;
    made.name.title = [run.name, run.note].filter(Boolean).join("\n");
    made.box.setAttribute("aria-label", `Show ${run.name}`);
    const seeds = run.seeds > 1 ? `${run.seeds} seeds` : run.seed === undefined ? "" : `seed ${run.seed}`;
    const state = run.status === "finished" ? "" : runs.active(run) && run.budget ? `${run.status}, ${format.number(Math.floor(100 * share(run)))} %` : run.status;
    made.about.dataset.status = run.status;
    made.about.textContent = [state, run.algorithm, run.task, seeds, ...(run.tags || [])].filter(Boolean).join(" · ");
    made.state.textContent = run.status;
    made.state.dataset.status = run.status;
    made.bar.value = share(run);
    made.bar.hidden = !runs.active(run);
    COLUMNS.forEach(([, , , show], i) => {
      if (show) made.cells[i].textContent = show(run);
    });
    return made.tr;
  }

  const compare = (a, b) => {
    const empty = (v) => v === null || v === undefined || v === "";
    if (empty(a) || empty(b)) return empty(a) - empty(b) || 0;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  };

  function matching() {
    const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (r) => [r.name, r.status, r.kind, r.algorithm, r.task, r.preset, r.note, ...(r.tags || [])].join(" ").toLowerCase();
    const found = runs.list.filter((run) => words.every((word) => text(run).includes(word)));
    const down = view.sort.startsWith("-");
    const column = COLUMNS.find(([key]) => key === view.sort.replace("-", "")) || COLUMNS[3];
    const known = (run) => !["", null, undefined].includes(column[2](run));
    return found.sort((a, b) => known(b) - known(a) || (down ? -1 : 1) * compare(column[2](a), column[2](b)));
  }

  function render() {
    listed = matching();
    const shown = listed.slice(0, limit).map(fillRow);
    if (shown.length !== body.children.length || shown.some((tr, i) => body.children[i] !== tr)) body.replaceChildren(...shown);
    for (const name of [...rows.keys()]) if (!runs.byName.has(name)) rows.delete(name);
    rest.hidden = listed.length <= limit;
    rest.textContent = `Show all ${listed.length}`;
    const n = runs.list.length;
    message.textContent = runs.error || (listed.length < n ? `${listed.length} of ${n} runs` : `${n} ${n === 1 ? "run" : "runs"}`);
    message.classList.toggle("error", Boolean(runs.error));
    const chosen = listed.filter((run) => (view.runs || []).includes(run.name)).length;
    all.checked = chosen > 0;
    all.indeterminate = chosen > 0 && chosen < listed.length;
  }

  function renderHeads() {
    rlgen.fill(heads, element("th", { scope: "col", class: "choose" }, all), COLUMNS.map(([key, title, , , kind]) => {
      const sorted = view.sort.replace("-", "") === key;
      const down = view.sort.startsWith("-");
      const order = sorted ? (down ? "descending" : "ascending") : undefined;
      return element("th", { scope: "col", class: `in-${key} ${kind}`, "aria-sort": order },
        button(title, () => view.set("sort", sorted && !down ? `-${key}` : sorted ? key : ["score", "best", "started"].includes(key) ? `-${key}` : key),
          { class: "link sort" }));
    }));
    if (document.activeElement === document.body && view.sorted) heads.querySelector("[aria-sort] button")?.focus();
    view.sorted = true;
  }

  function chooseAll() {
    const names = listed.map((run) => run.name);
    const now = (view.runs || []).filter((name) => !names.includes(name));
    view.set("runs", all.checked ? [...now, ...names].slice(0, 24) : now);
    render();
  }

  function arrows(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const current = event.target.closest("tr");
    if (!step || !current) return;
    const next = step > 0 ? current.nextElementSibling : current.previousElementSibling;
    if (next) next.querySelector(event.target.type === "checkbox" ? "input" : "button").focus();
    event.preventDefault();
  }

  /* Build the table in `parent`. */
  rlgen.table = function (parent) {
    const wide = button("", () => document.body.classList.toggle("wide"), { icon: "wide", label: "All columns (w)", class: "quiet", id: "wide" });
    parent.append(
      element("div", { class: "bar" }, element("h2", { text: "Runs" }), message, wide),
      rlgen.labelled("Filter", filter, { class: "control filter" }),
      element("div", { class: "scroll", tabindex: "-1" },
        element("table", { class: "runs" }, element("caption", { class: "hidden", text: "Runs; checked ones are shown" }),
          element("thead", {}, heads), body), rest));
    for (const name of ["list", "runs", "focus"]) view.on(name, render);
    view.on("filter", () => {
      if (filter.value !== view.filter) filter.value = view.filter;
      render();
    });
    view.on("hover", (name) => rows.forEach((made, key) => made.tr.classList.toggle("hover", key === name)));
    view.on("sort", () => {
      renderHeads();
      render();
    });
    filter.value = view.filter;
    renderHeads();
    render();
  };
})(window.rlgen);
