/* Images of a panel: a choice of a test image, a sample or a picture of one's own, drawn here or read from a file. */
"use strict";
(function (rlgen) {
  const { element, button, labelled, select } = rlgen;
  const SIDE = 280;  // of the drawing board in its own pixels; the picture is scaled to the model's size elsewhere
  const SOURCES = { test: "a test image", sample: "a sample", picture: "your own picture" };

  /* The time of the portrait nearest to the common time, or null for the newest weights. */
  rlgen.portrait = function (run, view) {
    const times = run.portraits || [];
    if (!times.length || view.following || view.time === null || view.time >= times[times.length - 1]) return null;
    return times.reduce((a, b) => (Math.abs(b - view.time) < Math.abs(a - view.time) ? b : a));
  };

  /* Run an asynchronous f with the newest arguments alone: while one call is answered, only the last of more waits. */
  rlgen.newest = function (f) {
    let busy = false;
    let waiting = null;
    return async function call(...given) {
      if (busy) {
        waiting = given;
        return;
      }
      busy = true;
      try {
        await f(...given);
      } finally {
        busy = false;
        const next = waiting;
        waiting = null;
        if (next) call(...next);
      }
    };
  };

  /* A number input with whole values. */
  rlgen.whole = (value, low, high, change, attributes = {}) =>
    element("input", { type: "number", min: low, max: high, step: 1, value: String(value), ...attributes,
      on: { change: (event) => {
        const typed = Math.min(high, Math.max(low, Math.round(Number(event.target.value)) || 0));
        event.target.value = String(typed);
        change(typed);
      } } });

  /* A board to draw on by mouse, touch or keys: white on black. `change` is called after each stroke. */
  rlgen.board = function ([channels, rows, columns], change) {
    const scale = SIDE / Math.max(rows, columns);
    const canvas = element("canvas", { class: "board", width: Math.round(columns * scale), height: Math.round(rows * scale), tabindex: 0, role: "img", "data-keys": "",
      "aria-label": "Drawing board: arrow keys move the brush, Space draws, Shift with arrow keys draws a line" });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const color = element("input", { type: "color", value: "#ffffff", "aria-label": "Colour of the brush" });
    const width = element("input", { type: "range", min: 0.5, max: 5, step: 0.5, value: "2", "aria-label": "Width of the brush in pixels of the model" });
    let at = null;
    let changed = 0;
    const later = () => {
      clearTimeout(changed);
      changed = setTimeout(change, 120);
    };
    function wipe() {
      context.fillStyle = "#000";
      context.fillRect(0, 0, canvas.width, canvas.height);
    }
    function stroke(to) {
      context.strokeStyle = channels === 1 ? "#fff" : color.value;
      context.lineWidth = Number(width.value) * scale;
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      context.moveTo(...(at || to));
      context.lineTo(to[0] + 0.01, to[1]);
      context.stroke();
      at = to;
      later();
    }
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      at = null;
      stroke(place(event));
    });
    canvas.addEventListener("pointermove", (event) => event.buttons & 1 && stroke(place(event)));
    const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    let brush = [canvas.width / 2, canvas.height / 2];
    canvas.addEventListener("keydown", (event) => {
      const move = MOVES[event.key];
      if (!move && event.key !== " ") return;
      event.preventDefault();
      const from = brush;
      if (move) brush = [0, 1].map((i) => Math.min([canvas.width, canvas.height][i], Math.max(0, brush[i] + move[i] * scale)));
      if (move && !event.shiftKey) return;
      at = from;
      stroke(brush);
    });
    function show(image) {
      const fit = Math.max(canvas.width / image.width, canvas.height / image.height);
      context.drawImage(image, (canvas.width - fit * image.width) / 2, (canvas.height - fit * image.height) / 2, fit * image.width, fit * image.height);
      change();
    }
    const file = element("input", { type: "file", accept: "image/png,image/jpeg", "aria-label": "Picture file", on: { change: async () => {
      try {
        if (file.files[0]) show(await createImageBitmap(file.files[0]));
      } catch {
        rlgen.notice("This file is no picture that the browser can read.");
      }
    } } });
    wipe();
    return {
      element: element("div", { class: "stack" }, canvas,
        element("div", { class: "choices" },
          labelled("Brush", width), channels === 1 ? null : labelled("Colour", color),
          button("Clear", () => { wipe(); change(); }),
          button("Invert", () => {
            context.globalCompositeOperation = "difference";
            context.fillStyle = "#fff";
            context.fillRect(0, 0, canvas.width, canvas.height);
            context.globalCompositeOperation = "source-over";
            change();
          })),
        labelled("or a file", file)),
      url: () => canvas.toDataURL("image/png"),
    };
  };

  /* Controls that choose an image. `about` is the answer of an action; `change(request)` gets the fields to send. */
  rlgen.subject = function (about, sources, change) {
    const chosen = { of: sources[0], index: 0 };
    const parts = element("div", { class: "stack" });
    let board = null;
    const request = () => ({ ...chosen, ...(chosen.of === "picture" && board ? { picture: board.url() } : {}) });
    const changed = () => change(request());
    function fill() {
      if (chosen.of === "picture" && !board) board = rlgen.board(about.shape, changed);
      const last = (chosen.of === "test" ? about.images : 64) - 1;
      const index = rlgen.whole(Math.min(chosen.index, last), 0, last, (value) => { chosen.index = value; changed(); });
      const step = (by) => { chosen.index = Math.min(last, Math.max(0, chosen.index + by)); index.value = String(chosen.index); changed(); };
      rlgen.fill(parts,
        element("div", { class: "choices" },
          labelled("Image", select(sources.map((of) => [of, SOURCES[of]]), chosen.of, (of) => { chosen.of = of; chosen.index = 0; fill(); changed(); })),
          chosen.of === "picture" ? null : labelled("Number", index),
          chosen.of === "picture" ? null : button("", () => step(-1), { icon: "previous", label: "Previous image", class: "quiet" }),
          chosen.of === "picture" ? null : button("", () => step(1), { icon: "next", label: "Next image", class: "quiet" }),
          about.conditional ? labelled("Class", select([["", "of the image"], ...about.classes.map((name, k) => [String(k), name])], chosen.label === undefined ? "" : String(chosen.label), (k) => {
            if (k === "") delete chosen.label;
            else chosen.label = Number(k);
            changed();
          })) : null),
        chosen.of === "picture" ? board.element : null);
    }
    fill();
    return { element: parts, request };
  };

  /* A picture enlarged without smoothing, with a caption. */
  rlgen.shown = function (caption, side = 140) {
    const img = element("img", { class: "pixels shown", alt: caption });
    const text = element("figcaption", { text: caption });
    const made = element("figure", { class: "figure", hidden: true, style: { "--side": `${side}px` } }, img, text);
    img.addEventListener("load", () => { made.hidden = false; });
    return { element: made, img, text };
  };
})(window.rlgen);
