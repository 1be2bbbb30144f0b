/* The latent plane: drag in it or move sliders, and the decoded picture follows; encode a picture of one's own. */
"use strict";
(function (rlgen) {
  const { element, button, format, source } = rlgen;
  const FIRST = 8;  // sliders before the others are asked for
  const STEPS = 400;  // of a slider

  function mount(parent, run, view) {
    const plane = element("canvas", { class: "plane", "aria-hidden": "true" });
    const mark = element("i", { class: "crosshair" });
    const own = element("i", { class: "crosshair own", hidden: true });
    const pad = element("div", { class: "pad", tabindex: 0, role: "application", "data-keys": "",
      "aria-label": "Latent plane: arrow keys move the code, with Shift in large steps" }, plane, own, mark);
    const decoded = rlgen.shown("decoded", 200);
    const legend = element("div", { class: "legend" });
    const axes = element("div", { class: "choices" });
    const sliders = element("div", { class: "sliders" });
    const encoder = element("div", { class: "stack" });
    const line = element("p", { class: "small faint", role: "status" });
    let about = null;
    let z = [];
    let at = rlgen.portrait(run, view);
    let lit = -1;  // class that is emphasised
    let all = false;
    let label = 0;
    let chosen = null;
    let encoded = null;

    const call = (action, body) => source.call(run.name, action, { at, ...body });
    const fail = (error) => { line.textContent = error.message; };
    const unit = (j) => about.units.find((u) => u.unit === j);
    const span = (j) => unit(j).high - unit(j).low;

    const decode = rlgen.newest(async () => {
      try {
        const began = performance.now();
        const { image } = await call("latent-decode", { z, ...(about.conditional ? { label } : {}) });
        decoded.img.src = image;
        pad.dataset.milliseconds = String(Math.round(performance.now() - began));
      } catch (error) {
        fail(error);
      }
    });

    const share = (j, value, side) => 100 * Math.min(1, Math.max(0, side * ((value - unit(j).low) / span(j)) + (side < 0 ? 1 : 0)));
    function place(dot, code) {
      const [i, j] = about.axes;
      dot.style.left = `${share(i, code[i], 1)}%`;
      dot.style.top = `${share(j, code[j], -1)}%`;
    }

    function moved(dragged) {
      if (about.axes.length === 2) place(mark, z);
      for (const input of sliders.querySelectorAll("input")) {
        const j = Number(input.dataset.unit);
        if (input !== dragged) input.value = String(z[j]);
        input.nextElementSibling.textContent = format.number(Number(z[j].toFixed(2)));
      }
      decode();
    }

    function draw() {
      if (!about || about.axes.length < 2) return;
      const side = plane.clientWidth || 320;
      const ratio = window.devicePixelRatio || 1;
      plane.width = plane.height = Math.round(side * ratio);
      const context = plane.getContext("2d");
      context.scale(ratio, ratio);
      const [i, j] = about.axes;
      context.strokeStyle = rlgen.colors.line;
      context.beginPath();
      for (const [from, to] of [[[share(i, 0, 1), 0], [share(i, 0, 1), 100]], [[0, share(j, 0, -1)], [100, share(j, 0, -1)]]]) {
        context.moveTo((from[0] * side) / 100, (from[1] * side) / 100);
        context.lineTo((to[0] * side) / 100, (to[1] * side) / 100);
      }
      context.stroke();
      const colors = Array.from({ length: 8 }, (_, k) => rlgen.colors[`c${k}`]);
      about.codes.forEach(([x, y], n) => {
        const k = about.labels ? about.labels[n] : 0;
        context.globalAlpha = lit < 0 ? 0.7 : lit === k ? 1 : 0.08;
        context.fillStyle = context.strokeStyle = colors[k % 8];
        context.beginPath();
        context.arc((share(i, x, 1) * side) / 100, (share(j, y, -1) * side) / 100, k < 8 ? 2 : 2.6, 0, 7);
        if (k < 8) context.fill();
        else context.stroke();  // further classes are rings in the same colours
      });
      context.globalAlpha = 1;
    }

    function drag(event) {
      const box = pad.getBoundingClientRect();
      const [i, j] = about.axes;
      z[i] = unit(i).low + span(i) * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      z[j] = unit(j).high - span(j) * Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
      moved();
    }
    pad.addEventListener("pointerdown", (event) => {
      if (!about) return;
      pad.setPointerCapture(event.pointerId);
      drag(event);
    });
    pad.addEventListener("pointermove", (event) => about && event.buttons & 1 && drag(event));
    pad.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 1], ArrowDown: [1, -1] }[event.key];
      if (!move || !about) return;
      event.preventDefault();
      const j = about.axes[move[0]];
      z[j] = Math.min(unit(j).high, Math.max(unit(j).low, z[j] + (move[1] * span(j)) / (event.shiftKey ? 10 : 50)));
      moved();
    });

    function fillLegend() {
      rlgen.fill(legend, about.labels ? about.classes.map((name, k) =>
        element("button", { type: "button", class: "entry", "aria-pressed": String(lit === k), title: `Show ${name} alone`, style: { "--series": rlgen.colors[`c${k % 8}`] }, on: { click: () => {
          lit = lit === k ? -1 : k;
          fillLegend();
          draw();
        } } }, element("i", { class: k < 8 ? "dot" : "dot ring" }), element("span", { class: "name", text: name }))) : []);
    }

    function fillAxes() {
      const names = [...about.units].map((u) => [String(u.unit), `z${u.unit}`]);
      const pick = (which) => rlgen.select(names, String(about.axes[which]), (j) => {
        const next = [...about.axes];
        if (next[1 - which] === Number(j)) next[1 - which] = next[which];
        next[which] = Number(j);
        load(next);
      });
      rlgen.fill(axes, about.units.length > 2 ? [rlgen.labelled("Across", pick(0)), rlgen.labelled("Up", pick(1))] : []);
    }

    function fillSliders() {
      const shown = all ? about.units : about.units.slice(0, FIRST);
      rlgen.fill(sliders,
        element("p", { class: "small faint", text: `Dimensions by ${about.measure}; grey: inactive` }),
        shown.map((u) => rlgen.labelled(`z${u.unit} · ${format.number(Number(u.use.toPrecision(3)))}`, element("span", { class: "slide" },
          element("input", { type: "range", min: u.low, max: u.high, step: (u.high - u.low) / STEPS, value: String(z[u.unit]), "data-unit": u.unit, "aria-label": `Dimension ${u.unit}`, on: {
            input: (event) => { z[u.unit] = Number(event.target.value); moved(event.target); } } }),
          element("output", { text: format.number(Number(z[u.unit].toFixed(2))) })), { class: u.active ? "control" : "control inactive" })),
        about.units.length > FIRST ? button(all ? "Fewer" : `All ${about.units.length} dimensions`, () => { all = !all; fillSliders(); }) : null);
    }

    function fillEncoder() {
      const given = rlgen.shown("image", 112);
      const again = rlgen.shown("reconstruction", 112);
      const error = element("p", { class: "small faint" });
      encoded = rlgen.newest(async (request) => {
        try {
          const found = await call("latent-encode", request);
          given.img.src = found.image;
          again.img.src = found.reconstruction;
          error.textContent = `Squared error per pixel ${format.number(found.mse)}${found.label === null ? "" : `; class ${about.classes[found.label]}`}. The ring in the plane is its code.`;
          z = found.z;
          if (about.axes.length === 2) {
            own.hidden = false;
            place(own, z);
          }
          moved();
        } catch (failure) {
          fail(failure);
        }
      });
      chosen = rlgen.subject(about, ["test", "picture"], encoded);
      rlgen.fill(encoder, element("h4", { text: "Encode a picture" }), element("div", { class: "columns2" },
        element("div", { class: "stack" }, chosen.element, element("div", { class: "choices" }, button("Encode", () => encoded(chosen.request())))),
        element("div", { class: "stack" }, element("div", { class: "figures" }, given.element, again.element), error)));
    }

    const load = rlgen.newest(async (wanted) => {
      try {
        if (!about) line.textContent = "Loading the model …";
        const first = !about;
        about = await call("latent-units", wanted ? { axes: wanted } : {});
        if (z.length !== about.units.length || !wanted) {
          z = [];
          for (const u of about.units) z[u.unit] = u.start;
        }
        own.hidden = true;
        pad.hidden = about.axes.length < 2;
        fillAxes();
        fillLegend();
        fillSliders();
        if (first) fillEncoder();
        draw();
        moved();
        line.textContent = `Weights at ${format.number(about.time)} images; the codes of ${format.number(about.codes.length)} test images. Drag, or use the arrow keys.`;
      } catch (error) {
        fail(error);
      }
    });

    const classes = element("span");
    parent.append(
      element("div", { class: "columns2" },
        element("div", { class: "stack" }, pad, axes, legend),
        element("div", { class: "stack" }, decoded.element, classes, sliders)),
      encoder, line);
    const onTime = () => {
      const next = rlgen.portrait(run, view);
      if (next === at) return;
      at = next;
      load(about ? about.axes : null);
    };
    view.on("time", onTime);
    view.on("theme", draw);
    const resized = new ResizeObserver(draw);
    resized.observe(pad);
    load(null).then(() => {
      if (about && about.conditional)
        classes.append(rlgen.labelled("Class", rlgen.select(about.classes.map((name, k) => [String(k), name]), "0", (k) => { label = Number(k); decode(); })));
    });
    return { destroy() { view.off("time", onTime); view.off("theme", draw); resized.disconnect(); } };
  }

  rlgen.panel({ name: "latent", title: "Latent plane", order: 40, mount });
})(window.rlgen);
