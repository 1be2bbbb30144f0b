/* Value map: V over two numbers of the observation, beside V*, their difference, visits; Bellman backups of cells. */
"use strict";
(function (rlgen) {
  const { element, labelled, select, source, draw } = rlgen;
  const { number, percent } = rlgen.format;
  const ARROWS = [["left", "←"], ["right", "→"], ["up", "↑"], ["down", "↓"], ["pick up", "P"], ["drop off", "D"]];
  const MOST_LABELS = 160;  // cells with text; maps with more show the actions as colours
  const SIZE = 220;  // pixels of the longer side of a map

  const arrow = (name) => (ARROWS.find(([word]) => name.includes(word)) || [, name.slice(0, 2)])[1];
  const ends = (values) => {
    const known = values.flat().filter((v) => v !== null);
    return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  };

  function mount(parent, run, view) {
    const state = { axes: null, fixed: null, ranges: null, cell: null, map: null, numbers: [] };
    const known = new Map();  // request -> answer
    let scale = null;  // of V and V*, kept while time moves
    let pending = null;
    let running = false;
    let destroyed = false;
    const controls = element("div", { class: "toolbar" });
    const figures = element("div", { class: "toolbar", style: { "align-items": "flex-start", "margin-top": "0.75rem" } });
    const caption = element("p", { class: "small faint", "aria-live": "polite", style: { "margin-top": "0.5rem" } });
    const detail = element("div", { "aria-live": "polite", class: "scroll", style: { "margin-top": "0.75rem" } });
    const failure = element("p", { class: "error", role: "alert", hidden: true });
    parent.append(controls, failure, figures, caption, detail);

    /* The portrait nearest to the common time; null, for the last checkpoint, of a run without portraits. */
    function age(time) {
      const times = (rlgen.runs.details.get(run.name) || run).portraits || [];
      if (!times.length) return null;
      const wanted = time === null ? times[times.length - 1] : time;
      return times.reduce((best, t) => (Math.abs(t - wanted) < Math.abs(best - wanted) ? t : best));
    }

    async function call(action, body) {
      const answer = await source.call(run.name, action, body);
      if (!answer.ask) return answer;
      if (!window.confirm(answer.ask)) throw new Error("The environment was not imported.");
      return source.call(run.name, action, { ...body, allow: true });
    }

    /* Fetch and draw the map of the latest state; while a request is under way only the newest one waits. */
    async function update() {
      const { axes, fixed, ranges } = state;
      const body = { at: axes ? age(view.time) : age(null), axes, fixed, ranges };
      pending = body;
      if (running) return;
      running = true;
      while (pending && !destroyed) {
        const request = pending;
        pending = null;
        const key = JSON.stringify(request);
        try {
          if (!known.has(key)) known.set(key, await call("value-map", request));
          if (!pending && !destroyed) show(known.get(key), request);
          failure.hidden = true;
        } catch (error) {
          failure.textContent = error.message;
          failure.hidden = false;
        }
      }
      running = false;
    }

    function show(map, request) {
      const first = !state.axes;
      state.map = map;
      state.numbers = map.numbers;
      if (first || !request.ranges) {
        Object.assign(state, { axes: map.axes, fixed: map.fixed, ranges: map.ranges });
        scale = ends([map.v.flat(), (map.exact || []).flat()]);
        choose();
      }
      const values = ends([map.v.flat(), (map.exact || []).flat()]);
      scale = [Math.min(scale[0], values[0]), Math.max(scale[1], values[1])];
      paint();
      if (state.cell) backup();
      if (first) update();  // at the common time; the ranges are those of the end of the training
    }

    /* Controls: both axes, and a slider for every other number. */
    function choose() {
      const options = state.numbers.map((n, i) => [String(i), n.name]);
      const axis = (place, text) => labelled(text, select(options, String(state.axes[place]), (value) => {
        const axes = [...state.axes];
        if (axes[1 - place] === Number(value)) axes[1 - place] = axes[place];
        axes[place] = Number(value);
        Object.assign(state, { axes, ranges: null, cell: null });
        detail.replaceChildren();
        update();
      }));
      const sliders = state.numbers.map((n, i) => {
        if (state.axes.includes(i)) return null;
        const low = n.low === null ? Math.min(-1, 2 * state.fixed[i]) : n.low;
        const high = n.high === null ? Math.max(1, 2 * state.fixed[i]) : n.high;
        const word = () => (n.words ? n.words[state.fixed[i]] : number(state.fixed[i]));
        const shown = element("output", { text: word() });
        const slider = element("input", {
          type: "range", min: low, max: high, step: n.whole ? 1 : "any", value: state.fixed[i],
          on: {
            input: (event) => {
              state.fixed = state.fixed.map((v, k) => (k === i ? Number(event.target.value) : v));
              shown.textContent = word();
              update();
            },
          },
        });
        return labelled(n.name, element("span", {}, slider, shown));
      });
      const choices = state.numbers.length > 2 || !state.map.grid;
      rlgen.fill(controls, choices && state.numbers.length > 1 ? [axis(0, "horizontal"), axis(1, "vertical")] : [], sliders);
    }

    function paint() {
      const map = state.map;
      const few = map.x.length * map.y.length <= MOST_LABELS;
      const text = (actions) => few ? actions.flatMap((row, r) => row.map((a, c) => {
        const mark = map.marks ? map.marks[r][c] : "";
        return a === null ? "" : `${mark} ${arrow(map.names[a])}`.trim();
      })) : null;
      const [low, high] = scale;
      const figuresOf = [
        figure("V(s), learned", map.v, { low, high, labels: text(map.action), note: `${number(ends([map.v.flat()])[0])} to ${number(ends([map.v.flat()])[1])}` }),
      ];
      if (map.exact) {
        const worst = Math.max(...map.difference.flat().filter((v) => v !== null).map(Math.abs), 1e-9);
        figuresOf.push(
          figure("V*(s), exact", map.exact, { low, high, labels: text(map.exact_action), note: `${number(ends([map.exact.flat()])[0])} to ${number(ends([map.exact.flat()])[1])}` }),
          figure("V(s) − V*(s)", map.difference, { low: -worst, high: worst, palette: "diverging", note: worst > 1e-6 ? `blue too low, red too high, at most ${number(worst)}` : "none" }));
      }
      if (!few || !map.grid) figuresOf.push(actions(map));
      const most = Math.max(1, ...map.visits.flat());
      figuresOf.push(figure("visits", map.visits.map((row) => row.map((n) => (n ? Math.log1p(n) : null))), { low: 0, high: Math.log1p(most), note: `of ${map.source}; brightest ${number(most)}, logarithmic` }));
      const focused = figures.contains(document.activeElement) ? [...figures.querySelectorAll("canvas")].indexOf(document.activeElement) : -1;
      rlgen.fill(figures, figuresOf.map((f) => f.figure));
      for (const f of figuresOf) f.draw();
      if (focused >= 0) figures.querySelectorAll("canvas")[focused]?.focus();
      caption.textContent = [
        `Weights at ${number(map.time)} ${run.unit || "steps"}, γ = ${number(map.gamma)}.`,
        map.optimal === null ? `No V*: ${map.reason}.` : `The greedy action is optimal in ${percent(map.optimal)} of the states shown.`,
        map.recurrent ? "Each cell is the first observation of an episode: no memory." : "",
        "Click a cell, or move to it with the arrow keys, for its Bellman backup.",
      ].join(" ");
    }

    /* The greedy action as one colour each, for maps of many cells. */
    function actions(map) {
      const count = Math.max(1, map.names.length - 1);
      const legend = map.names.map((name, i) => element("span", { class: "control", style: { "margin-right": "0.6rem" } },
        element("i", { style: { width: "0.7rem", height: "0.7rem", background: `rgb(${rlgen.shade("viridis", i / count).join(" ")})` } }), name));
      return figure("greedy action", map.action, { low: 0, high: count, note: legend });
    }

    /* A canvas with its axes named, marks such as H for a hole where a cell has no value; `draw` paints it once it is in the page. */
    function figure(title, values, { low, high, palette = "viridis", labels = null, note = "" }) {
      const map = state.map;
      const [rows, columns] = [map.y.length, map.x.length];
      const square = map.grid ? Math.min(52, SIZE / columns, Math.max(30, SIZE / rows)) : 0;
      const width = map.grid ? Math.max(columns * Math.max(square, 24), 110) : SIZE;
      const height = map.grid ? rows * (width / columns) : rows === 1 ? 40 : SIZE * 0.8;
      const canvas = element("canvas", {
        tabindex: "0", role: "img", "data-keys": "", "aria-label": `${title}; arrow keys move between cells`,
        style: { width: `${width}px`, height: `${height}px`, display: "block", cursor: "crosshair" },
        on: { click: pick, keydown: move },
      });
      const name = (place) => state.numbers[state.axes[place]].name;
      const axis = map.grid ? null : element("div", { class: "small faint", style: { display: "flex", "justify-content": "space-between", gap: "0.5rem", width: `${width}px` } },
        element("span", { text: number(map.x[0]) }), element("span", { text: name(0) }), element("span", { text: number(map.x[columns - 1]) }));
      const side = map.grid || rows === 1 ? null : element("p", { class: "small faint", text: `↑ ${name(1)}: ${number(map.y[rows - 1])} to ${number(map.y[0])}` });
      const drawn = element("figure", { style: { "max-width": `${width}px` } }, element("figcaption", {}, element("h3", { text: title })), side, canvas, axis,
        element("p", { class: "small faint" }, note));
      return { figure: drawn, draw: () => {
        draw.heatmap(canvas, { values: values.flat().map((v) => (v === null ? NaN : v)), width: columns, height: rows, low, high, palette, labels });
        const context = canvas.getContext("2d");
        if (map.marks) map.marks.flat().forEach((mark, i) => {
          if (mark !== "#") return;
          context.fillStyle = rlgen.colors.faint;
          context.fillRect((i % columns) * (width / columns), Math.floor(i / columns) * (height / rows), width / columns, height / rows);
        });
        values.flat().forEach((v, i) => {
          const mark = map.marks && map.marks.flat()[i];
          if (v !== null || !mark || mark === "#") return;
          context.fillStyle = rlgen.colors.ink;
          context.textAlign = "center";
          context.textBaseline = "middle";
          context.fillText(mark, ((i % columns) + 0.5) * (width / columns), (Math.floor(i / columns) + 0.5) * (height / rows));
        });
        if (state.cell) {
          context.strokeStyle = rlgen.colors.c1;
          context.lineWidth = 3;
          const [r, c] = state.cell;
          context.strokeRect(c * (width / columns) + 1, r * (height / rows) + 1, width / columns - 2, height / rows - 2);
        }
      } };
    }

    function pick(event) {
      const box = event.currentTarget.getBoundingClientRect();
      const part = (offset, size, count) => Math.min(count - 1, Math.max(0, Math.floor((offset / size) * count)));
      go(part(event.clientY - box.top, box.height, state.map.y.length), part(event.clientX - box.left, box.width, state.map.x.length));
    }

    function move(event) {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const [rows, columns] = [state.map.y.length, state.map.x.length];
      const [r, c] = state.cell || [Math.floor(rows / 2), Math.floor(columns / 2)];
      go(Math.min(rows - 1, Math.max(0, r + step[0])), Math.min(columns - 1, Math.max(0, c + step[1])));
    }

    function go(row, column) {
      state.cell = [row, column];
      paint();
      backup();
    }

    let asked = 0;
    async function backup() {
      const mine = (asked += 1);
      const { map, cell, axes, fixed } = state;
      const numbers = [...fixed];
      numbers[axes[1]] = map.y[cell[0]];
      numbers[axes[0]] = map.x[cell[1]];
      try {
        const found = await call("value-map-backup", { at: age(view.time), numbers });
        if (mine === asked && !destroyed) rlgen.fill(detail, ...rlgen.valueMap.backup(found));
      } catch (error) {
        if (mine === asked) rlgen.fill(detail, element("p", { class: "small faint", text: error.message }));
      }
    }

    const onTime = view.on("time", () => state.axes && update());
    const onTheme = view.on("theme", () => state.map && paint());
    update();
    return {
      destroy() {
        destroyed = true;
        view.off("time", onTime);
        view.off("theme", onTheme);
      },
    };
  }

  rlgen.valueMap = {};
  rlgen.panel({ name: "value_map", title: "Value map", order: 30, mount });
})(window.rlgen);
