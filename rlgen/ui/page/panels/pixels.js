/* Pixels of an autoregressive model: click one for its distribution, its nats and what it depends on; complete an image. */
"use strict";
(function (rlgen) {
  const { element, button, format, labelled, source } = rlgen;
  const LAYERS = [["image", "image"], ["nats", "nats of each pixel"], ["field", "receptive field of the pixel"]];
  const FLOOR = 4;  // orders of magnitude of the gradient that the palette covers
  const MEANING = {
    image: "Click a pixel, or move with the arrow keys.",
    nats: "Bright: many nats, a value of low probability; dark: few, one of high probability.",
    field: "Gradient of the prediction by each earlier pixel, logarithmic over four orders of magnitude, bright: large; orange: blind spot; empty: no effect.",
  };

  function mount(parent, run, view) {
    const canvas = element("canvas", { class: "plane" });
    const pad = element("div", { class: "pad", tabindex: 0, role: "application", "data-keys": "",
      "aria-label": "Image: arrow keys choose a pixel, Space keeps or releases it" }, canvas);
    const chart = element("canvas", { class: "chart-small", role: "img", "aria-label": "Predicted distribution of the pixel" });
    const text = element("p", { role: "status" });
    const total = element("p", { class: "small faint" });
    const meaning = element("p", { class: "small faint" });
    const chooser = element("div");
    const results = element("div", { class: "figures" });
    const progress = element("progress", { max: 1, value: 0, hidden: true, "aria-label": "Rows sampled" });
    const note = element("p", { class: "small faint", role: "status" });
    let at = rlgen.portrait(run, view);
    let about = null;
    let picture = null;  // an Image of the pixels
    let found = null;  // of the pixel
    let layer = "image";
    let [row, column] = [0, 0];
    let request = { of: "test", index: 0 };
    let known = [];
    let painting = null;  // the value painted by a drag, while the mask is edited
    let editing = false;
    let seed = 0;
    let job = 0;
    let channel = 0;

    const call = (action, body) => source.call(run.name, action, { at, ...body });
    const fail = (error) => { text.textContent = error.message; };

    function draw() {
      if (!about) return;
      meaning.textContent = editing ? "Coloured pixels are sampled, the others are kept; drag or press Space to change them." : MEANING[layer];
      const [, rows, columns] = about.shape;
      const width = canvas.clientWidth || 320;
      const cell = width / columns;
      canvas.style.height = `${(width * rows) / columns}px`;
      const ratio = window.devicePixelRatio || 1;
      if (layer === "nats") {
        rlgen.draw.heatmap(canvas, { values: about.nats.flat(), width: columns, height: rows, low: 0 });
      } else if (layer === "field" && found) {
        const values = found.field.flat();
        const most = Math.max(...values) || 1;
        rlgen.draw.heatmap(canvas, { values: values.map((v) => (v > 0 ? Math.max(-FLOOR, Math.log10(v / most)) : NaN)), width: columns, height: rows, low: -FLOOR, high: 0 });
      } else {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round((width * ratio * rows) / columns);
        const context = canvas.getContext("2d");
        context.imageSmoothingEnabled = false;
        if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
        context.scale(ratio, ratio);
      }
      const context = canvas.getContext("2d");
      const each = (f) => { for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) f(i, j); };
      if (layer === "field" && found) {
        context.fillStyle = rlgen.colors.c1;
        each((i, j) => found.blind[i][j] && context.fillRect(j * cell, i * cell, cell, cell));
      }
      if (editing) {
        context.fillStyle = rlgen.colors.c5;
        context.globalAlpha = 0.55;
        each((i, j) => !known[i * columns + j] && context.fillRect(j * cell, i * cell, cell, cell));
        context.globalAlpha = 1;
      }
      for (const [color, wide] of [["#000", 4], [rlgen.colors.c4, 2]]) {
        context.strokeStyle = color;
        context.lineWidth = wide;
        context.strokeRect(column * cell, row * cell, cell, cell);
      }
    }

    function describe() {
      const p = found.probabilities[channel];
      const level = found.levels[channel];
      const many = p.length > 12;
      const to = rlgen.draw.histogram(chart, { values: p, highlight: level, color: rlgen.colors.c6, labels: many ? null : p.map((v) => format.percent(v)),
        x: p.map((_, k) => k), xlabel: many ? "level, 0 black to 255 white; marked: the value" : "0 black, 1 white; marked: the value", ylabel: "probability" });
      if (many) {  // a bar of one level is thin
        const context = chart.getContext("2d");
        const [x, y] = [to.x(level), to.y(0)];
        context.fillStyle = rlgen.colors.accent;
        context.beginPath();
        context.moveTo(x, y - 1);
        context.lineTo(x - 5, y - 11);
        context.lineTo(x + 5, y - 11);
        context.fill();
      }
      const share = found.earlier ? `${format.percent(found.seen / found.earlier)} of its ${format.number(found.earlier)} earlier pixels reach it` : "no earlier pixel";
      const blind = !found.earlier ? "" : found.blind_pixels
        ? `; blind spot: ${found.blind_pixels} pixel${found.blind_pixels > 1 ? "s" : ""} within the reach of the network have no effect`
        : "; no blind spot within the reach of the network";
      text.textContent = `Row ${found.row}, column ${found.column}: the value has probability ${format.percent(p[level])}, ${format.number(found.nats.reduce((a, b) => a + b, 0))} nats; ${share}${blind} (gradient, mean over ${found.images} image${found.images > 1 ? "s" : ""}).`;
    }

    const ask = rlgen.newest(async () => {
      try {
        const place = { row, column };  // which may move on meanwhile
        found = { ...(await call("pixels-pixel", { ...request, ...place })), ...place };
        describe();
        draw();
      } catch (error) {
        fail(error);
      }
    });

    const load = rlgen.newest(async () => {
      try {
        if (!about) text.textContent = "Loading the model …";
        const first = !about;
        about = await call("pixels-image", request);
        const [channels, rows, columns] = about.shape;
        picture = await decoded(about.image);
        total.textContent = `${format.number(about.total)} nats for the image (uniform: ${format.number(about.uniform)}; ${about.protocol}), ${format.number(about.total / (Math.LN2 * channels * rows * columns))} bits per dimension; weights at ${format.number(about.time)} images.`;
        if (first) {
          [row, column] = [Math.floor(rows / 2), Math.floor(columns / 2)];
          keep((i) => i < rows / 2);
          rlgen.fill(chooser, rlgen.subject(about, ["test", "sample", "picture"], (next) => { request = next; load(); }).element);
          if (channels > 1) channels3.hidden = false;
        }
        draw();
        ask();
      } catch (error) {
        fail(error);
      }
    });

    const decoded = (url) => new Promise((done, failed) => {
      const image = new Image();
      image.onload = () => done(image);
      image.onerror = () => failed(new Error("the picture could not be shown"));
      image.src = url;
    });

    function keep(rule) {
      const [, rows, columns] = about.shape;
      known = Array.from({ length: rows * columns }, (_, n) => (rule(Math.floor(n / columns), n % columns) ? 1 : 0));
      draw();
    }

    function pixel(event) {
      const [, rows, columns] = about.shape;
      const box = pad.getBoundingClientRect();
      const inside = (value, size) => Math.min(size - 1, Math.max(0, Math.floor(value * size)));
      return [inside((event.clientY - box.top) / box.height, rows), inside((event.clientX - box.left) / box.width, columns)];
    }
    function visit(event, begun) {
      if (!about) return;
      const [i, j] = pixel(event);
      const place = i * about.shape[2] + j;
      if (editing) {
        if (begun) painting = known[place] ? 0 : 1;
        known[place] = painting;
        [row, column] = [i, j];
        draw();
      } else if (begun || i !== row || j !== column) {
        [row, column] = [i, j];
        draw();
        ask();
      }
    }
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      visit(event, true);
    });
    pad.addEventListener("pointermove", (event) => event.buttons & 1 && visit(event, false));
    pad.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!about || (!move && event.key !== " ")) return;
      event.preventDefault();
      const [, rows, columns] = about.shape;
      if (move) {
        row = Math.min(rows - 1, Math.max(0, row + move[0]));
        column = Math.min(columns - 1, Math.max(0, column + move[1]));
        ask();
      } else if (editing) known[row * columns + column] = known[row * columns + column] ? 0 : 1;
      draw();
    });

    async function complete() {
      const own = ++job;
      try {
        progress.hidden = false;
        stop.disabled = false;
        let answer = await call("pixels-complete", { ...request, known, seed, count: 4 });
        for (;;) {
          if (own !== job) return;
          progress.value = answer.row / answer.rows;
          rlgen.fill(results, answer.images.map((url, n) => {
            const figure = rlgen.shown(`${n + 1}`, 96);
            figure.img.src = url;
            return figure.element;
          }));
          note.textContent = answer.done ? `Four completions of the kept pixels, seed ${seed}, in ${format.duration(answer.seconds)}.`
            : answer.stopped ? "Stopped: the time for one completion is spent." : `Row ${answer.row} of ${answer.rows}, seed ${seed} …`;
          if (answer.done || answer.stopped) break;
          answer = await call("pixels-complete", { continue: true });
        }
      } catch (error) {
        note.textContent = error.message;
      }
      if (own === job) { progress.hidden = true; stop.disabled = true; }
    }

    const seedInput = rlgen.whole(0, 0, 2147483647, (value) => { seed = value; });
    const stop = button("Stop", () => { job += 1; progress.hidden = true; stop.disabled = true; note.textContent = "Stopped."; }, { disabled: true });
    const edit = element("input", { type: "checkbox", on: { change: (event) => { editing = event.target.checked; if (editing) layers.querySelector("select").value = layer = "image"; draw(); } } });
    const layers = labelled("Show", rlgen.select(LAYERS, layer, (next) => { layer = next; edit.checked = editing = false; draw(); }));
    const channels3 = labelled("Channel", rlgen.select([["0", "red"], ["1", "green"], ["2", "blue"]], "0", (c) => { channel = Number(c); if (found) describe(); }), { hidden: true });
    parent.append(
      element("div", { class: "columns2" },
        element("div", { class: "stack" }, element("div", { class: "choices" }, layers, channels3), pad, meaning, total),
        element("div", { class: "stack" }, chart, text, chooser)),
      element("h4", { text: "Complete the image" }),
      element("div", { class: "choices" },
        element("span", { class: "faint small", text: "Keep" }),
        button("upper half", () => { start(); keep((i) => i < about.shape[1] / 2); }),
        button("left half", () => { start(); keep((i, j) => j < about.shape[2] / 2); }),
        button("up to the pixel", () => { start(); keep((i, j) => i < row || (i === row && j < column)); }),
        button("nothing", () => { start(); keep(() => false); }),
        labelled("paint the kept pixels", edit, { class: "control check" })),
      element("div", { class: "choices" }, labelled("Seed", seedInput), button("Complete", complete, { class: "primary" }), stop, progress),
      results, note);
    function start() {
      edit.checked = editing = true;
      layers.querySelector("select").value = layer = "image";
    }

    const onTime = () => {
      const next = rlgen.portrait(run, view);
      if (next === at) return;
      at = next;
      load();
    };
    const redraw = () => { draw(); if (found) describe(); };
    view.on("time", onTime);
    view.on("theme", redraw);
    const resized = new ResizeObserver(redraw);
    resized.observe(pad);
    load();
    return { destroy() { job += 1; view.off("time", onTime); view.off("theme", redraw); resized.disconnect(); } };
  }

  rlgen.panel({ name: "pixels", title: "Pixels", order: 41, mount });
})(window.rlgen);
