/* A GAN of points: generated points over the data and the field of the discriminator, at the common time. */
"use strict";
(function (rlgen) {
  const { element, format, labelled, source, draw } = rlgen;
  const SHARP = 2;  // CSS pixels of the radius of a point

  function dots(context, to, points, color, radius) {
    context.fillStyle = color;
    for (const [x, y] of points) {
      context.beginPath();
      context.arc(to(x), to(-y), radius, 0, 7);
      context.fill();
    }
  }

  function arrows(context, to, found, width) {
    const length = width / Math.sqrt(found.arrows.length);
    context.strokeStyle = context.fillStyle = rlgen.colors.ink;
    context.lineWidth = 1.25;
    for (const [x, y, dx, dy] of found.arrows) {
      const size = Math.hypot(dx, dy);
      if (size < 0.02) continue;
      const reach = length * 0.9 * Math.sqrt(size);  // small gradients stay visible
      const [px, py, qx, qy] = [to(x), to(-y), to(x) + (reach * dx) / size, to(-y) - (reach * dy) / size];
      context.beginPath();
      context.moveTo(px, py);
      context.lineTo(qx, qy);
      context.stroke();
      context.beginPath();
      context.arc(qx, qy, 2, 0, 7);
      context.fill();
    }
  }

  /* Points of high quality per mode as bars, and a line at the mean number of test points per mode. */
  function counts(canvas, found) {
    const values = found.counts;
    const even = found.measured / values.length;
    const high = Math.max(1.25 * even, ...values);
    draw.lines(canvas, { x: [0, values.length], series: [{ values: [even, even], color: rlgen.colors.faint, dash: [4, 3], label: "" }], low: 0, high, xlabel: "mode", ylabel: "points of high quality; dashed: equal shares" });
    const context = canvas.getContext("2d");
    const [left, right, top, bottom] = [50, 10, 20, 36];  // as the axes of rlgen.draw
    const step = (canvas.clientWidth - left - right) / values.length;
    const height = canvas.clientHeight - top - bottom;
    context.fillStyle = rlgen.colors.c1;
    values.forEach((value, i) => context.fillRect(left + (i + 0.15) * step, top + height * (1 - value / high), 0.7 * step, (height * value) / high));
  }

  function mount(body, run, view) {
    const times = run.portraits || [];
    const known = new Map();  // portrait time, or null -> answer
    let shown = null;
    let wanted = 0;
    let alive = true;
    const on = { field: true, data: true, generated: true, arrows: false };
    const canvas = element("canvas", { class: "plane", role: "img", style: { width: "min(100%, 420px)", "aspect-ratio": "1" } });
    const modes = element("canvas", { role: "img", style: { width: "min(100%, 420px)", height: "140px" } });
    const text = element("p", { role: "status" });
    const note = element("p", { class: "small faint" });
    const boxes = Object.entries({ field: "logit of the discriminator", data: "data", generated: "generated points", arrows: "gradient of the logit" })
      .map(([name, label]) => labelled(label, element("input", { type: "checkbox", checked: on[name], on: { change: (event) => {
        on[name] = event.target.checked;
        paint();
      } } }), { class: "control check" }));

    function paint() {
      if (!shown) return;
      const width = canvas.clientWidth;
      draw.heatmap(canvas, { values: on.field ? shown.field : [NaN], width: on.field ? shown.side : 1, height: on.field ? shown.side : 1, palette: "diverging", low: -1, high: 1 });
      const context = canvas.getContext("2d");
      const to = (value) => ((value / shown.extent + 1) / 2) * width;
      if (on.data) dots(context, to, shown.data, on.field ? "#555" : rlgen.colors.faint, SHARP - 0.5);
      if (on.arrows) arrows(context, to, shown, width);
      if (on.generated) dots(context, to, shown.samples, on.field ? "#111" : rlgen.colors.c1, SHARP);
      if (on.generated && on.field) dots(context, to, shown.samples, "#f0a202", SHARP - 0.75);
      counts(modes, shown);
      const share = format.percent(Number(shown.high_quality.toPrecision(3)));
      text.textContent = `${shown.covered} of ${shown.counts.length} modes covered, ${share} of ${format.number(shown.measured)} points of high quality, after ${format.number(shown.time)} points of training.`;
      canvas.setAttribute("aria-label", text.textContent);
      modes.setAttribute("aria-label", `Points of high quality per mode: ${shown.counts.join(", ")}`);
      const around = shown.threshold === null ? "its median (a critic has no threshold)" : `${format.number(shown.threshold)}, the threshold of real`;
      note.textContent = `Both axes from −${shown.extent} to ${shown.extent}. Logit from ${format.number(shown.lowest)} to ${format.number(shown.highest)}: red above ${around}, blue below. High quality: within ${shown.deviations} standard deviations of a mode.`;
    }

    async function load(at) {
      if (!known.has(at)) known.set(at, await source.call(run.name, "points", { at }));
      return known.get(at);
    }

    async function show() {
      const at = rlgen.portrait(run, view);
      const mine = ++wanted;
      try {
        const found = await load(at);
        if (!alive || mine !== wanted) return;
        shown = found;
        paint();
      } catch (error) {
        if (alive && mine === wanted) text.textContent = error.message;
      }
    }

    /* The other times one after the other, so that the slider then moves without waiting. */
    async function ahead() {
      for (const at of times) {
        if (!alive) return;
        await load(at).catch(() => null);
      }
    }

    body.append(element("div", { class: "toolbar" }, boxes), canvas, text, modes, note);
    view.on("time", show);
    view.on("theme", paint);
    show().then(ahead);
    return {
      destroy() {
        alive = false;
        view.off("time", show);
        view.off("theme", paint);
      },
    };
  }

  rlgen.panel({ name: "points", title: "Points and field", order: 40, mount });
})(window.rlgen);
