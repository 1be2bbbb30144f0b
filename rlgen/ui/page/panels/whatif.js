/* What if: the observation of a step with one of its numbers moved, or with pixels covered; the values follow. */
"use strict";
(function (rlgen) {
  const { element, button, labelled, select, format, source } = rlgen;
  const SIDE = 300;  // pixels: the longer side of an image

  function mount(parent, run, view) {
    const line = element("p", { class: "small faint", role: "status" });
    const change = element("p", { class: "small", role: "status" });
    const inputs = element("div", { class: "drags" });
    const before = element("div", {});
    const after = element("div", {});
    const slider = element("input", { type: "range", min: 0, max: 0, step: 1, value: "0", on: { input: () => go(Number(slider.value)) } });
    const output = element("output", { text: "0" });
    const seeds = element("input", { type: "number", min: 0, max: 9999, step: 1, value: "0", on: { change: load } });
    const root = element("div", { class: "stack whatif", "data-keys": "" },
      element("div", { class: "toolbar" }, labelled("Seed", seeds), labelled("Step", slider), output, button("Reset", () => go(t))),
      element("div", { class: "sides" }, inputs,
        element("div", { class: "stack" }, element("h4", { text: "as observed" }), before, element("h4", { text: "what if" }), after, change)), line);
    parent.append(root);
    let [t, at, gone, episode, token] = [0, rlgen.portrait(run, view), false, null, 0];
    let numbers = [];
    let covered = new Set();
    let [fill, cursor, cells, painting] = ["background", 0, [1, 1], null];
    let [plain, changed, base] = [null, null, null];
    const image = element("img", { class: "pixels", alt: "the image as observed, with covered pixels" });
    const board = element("canvas", { tabindex: 0, role: "application",
      "aria-label": "Pixels: drag to cover, arrow keys move the cursor, space covers or uncovers, Escape uncovers all",
      on: { pointerdown: press, pointermove: drag, pointerup: () => { painting = null; }, keydown: type, focus: overlay, blur: overlay } });

    const request = () => ({ at, seed: Math.min(9999, Math.max(0, Math.round(Number(seeds.value)) || 0)), max_steps: 1000 });
    const fail = (error) => { line.className = "error"; line.textContent = error.message; };

    async function load() {
      const mine = ++token;
      line.className = "small faint";
      line.textContent = "recording …";
      try {
        const found = await source.call(run.name, "episode", request());
        if (gone || mine !== token) return;
        episode = found;
        const kind = episode.distribution;
        plain = rlgen.values(episode.names, kind, "Q-values as observed");
        changed = rlgen.values(episode.names, kind, "Q-values of the changed observation");
        rlgen.fill(before, plain.element);
        rlgen.fill(after, changed.element);
        slider.max = String(episode.steps);
        line.textContent = episode.recurrent ? "A recurrent agent: its memory is that of the episode up to this step." : "";
        build();
        go(Math.min(t, episode.steps));
      } catch (error) {
        fail(error);
      }
    }

    /* Sliders of the numbers, or the image. */
    function build() {
      if (!episode.numbers)
        return rlgen.fill(inputs, element("div", { class: "cover" }, image, board),
          element("div", { class: "toolbar" }, labelled("Covered by", select([["background", "the background (median of the episode)"], ["black", "black"]], fill, (value) => { fill = value; ask(); })),
            button("Uncover all", clear)),
          element("p", { class: "small faint" }, "Drag to cover, drag over covered pixels to uncover; ", element("kbd", { text: "arrows" }), " move, ", element("kbd", { text: "space" }), " covers"));
      return rlgen.fill(inputs, episode.numbers.map((number, i) => {
        const shown = element("output", {});
        const input = element("input", { type: "range", min: number.low, max: number.high, step: number.whole ? 1 : "any",
          on: { input: () => { numbers[i] = Number(input.value); shown.textContent = format.number(numbers[i]); ask(); } } });
        return labelled(number.name, element("span", { class: "drag" }, input, shown),
          { title: number.observed ? "bounds: observed in this episode, and half as much again" : "bounds: those of the observation space" });
      }));
    }

    function go(step) {
      if (!episode) return;
      t = step;
      slider.value = String(t);
      output.textContent = `${t} / ${episode.steps}`;
      base = null;
      if (episode.numbers) {
        numbers = [...episode.observations[t]];
        inputs.querySelectorAll("input[type=range]").forEach((input, i) => {
          input.value = String(numbers[i]);
          input.nextElementSibling.textContent = format.number(numbers[i]);
        });
      } else covered = new Set();
      ask();
    }

    const ask = rlgen.newest(async () => {
      const began = performance.now();
      const step = t;
      try {
        if (!base) {
          const found = await source.call(run.name, "what-if", { ...request(), step });
          if (gone || step !== t) return void ask();
          base = found;
        }
        const body = episode.numbers ? { numbers } : { cover: [...covered], fill };
        const found = await source.call(run.name, "what-if", { ...request(), step, ...body });
        if (gone || step !== t || !base) return;
        show(found);
        root.dataset.milliseconds = String(Math.round(performance.now() - began));
        root.dataset.asked = String(Number(root.dataset.asked || 0) + 1);
      } catch (error) {
        fail(error);
      }
    });

    function show(found) {
      const all = [...base.q, ...found.q].filter((value) => value !== null);
      const range = found.atoms ? [] : found.distribution ? extent([...base.distribution, ...found.distribution].flat()) : extent(all);
      plain.show({ ...base, range });
      changed.show({ ...found, range });
      const names = episode.names;
      const same = found.action === base.action;
      change.textContent = `V ${format.number(base.v)} → ${format.number(found.v)}; greedy action ${names[base.action]}${same ? ", unchanged" : ` → ${names[found.action]}`}`;
      if (!found.picture) return;
      cells = found.cells;
      image.src = found.picture;
      overlay();
    }
    const extent = (values) => [Math.min(...values), Math.max(...values)];

    /* Covered cells and the cursor above the image. */
    function overlay() {
      const [rows, columns] = cells;
      const scale = SIDE / Math.max(rows, columns);
      [board.width, board.height] = [Math.round(columns * scale), Math.round(rows * scale)];
      for (const each of [image, board]) [each.style.width, each.style.height] = [`${board.width}px`, `${board.height}px`];
      const context = board.getContext("2d");
      context.clearRect(0, 0, board.width, board.height);
      for (const cell of covered) {  // hatched, to be seen on any image
        const [left, top] = [(cell % columns) * scale, Math.floor(cell / columns) * scale];
        context.globalAlpha = 0.3;
        context.fillStyle = "#7f7f7f";
        context.fillRect(left, top, scale, scale);
        context.globalAlpha = 0.8;
        context.strokeStyle = "#ffb000";
        context.beginPath();
        context.moveTo(left, top + scale);
        context.lineTo(left + scale, top);
        context.stroke();
      }
      context.globalAlpha = 1;
      if (document.activeElement !== board) return;
      context.strokeStyle = rlgen.colors.accent;
      context.lineWidth = 2;
      context.strokeRect((cursor % columns) * scale + 1, Math.floor(cursor / columns) * scale + 1, scale - 2, scale - 2);
    }

    function cellAt(event) {
      const box = board.getBoundingClientRect();
      const place = (share, size) => Math.min(size - 1, Math.max(0, Math.floor(share * size)));
      return place((event.clientY - box.top) / box.height, cells[0]) * cells[1] + place((event.clientX - box.left) / box.width, cells[1]);
    }
    function set(cell, cover) {
      if (covered.has(cell) === cover) return;
      if (cover) covered.add(cell);
      else covered.delete(cell);
      board.dataset.covered = String(covered.size);
      overlay();
      ask();
    }
    function press(event) {
      cursor = cellAt(event);
      painting = !covered.has(cursor);
      board.setPointerCapture(event.pointerId);
      set(cursor, painting);
    }
    function drag(event) {
      if (painting === null || !event.buttons) return;
      cursor = cellAt(event);
      set(cursor, painting);
    }
    function clear() {
      covered = new Set();
      overlay();
      ask();
    }
    function type(event) {
      const [rows, columns] = cells;
      const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
      if (event.key in moves) {
        const next = cursor + moves[event.key];
        const wraps = Math.abs(moves[event.key]) === 1 && Math.floor(next / columns) !== Math.floor(cursor / columns);
        if (next >= 0 && next < rows * columns && !wraps) cursor = next;
        overlay();
      } else if (event.key === " ") set(cursor, !covered.has(cursor));
      else if (event.key === "Escape") clear();
      else return;
      event.preventDefault();
    }

    const moved = () => {
      if (rlgen.portrait(run, view) === at) return;
      at = rlgen.portrait(run, view);
      clearTimeout(moved.timer);
      moved.timer = setTimeout(load, 400);
    };
    const redraw = () => { if (plain) { plain.redraw(); changed.redraw(); overlay(); } };
    view.on("time", moved);
    view.on("theme", redraw);
    load();
    return {
      destroy() {
        gone = true;
        clearTimeout(moved.timer);
        view.off("time", moved);
        view.off("theme", redraw);
      },
    };
  }

  rlgen.panel({ name: "whatif", title: "What if", order: 12, mount });
})(window.rlgen);
