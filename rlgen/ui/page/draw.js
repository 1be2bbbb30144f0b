/* Drawings on canvas in the colours of the theme: bars, lines, histogram, heat map, scatter plot. */
"use strict";
(function (rlgen) {
  const draw = (rlgen.draw = {});
  const VIRIDIS = ["440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
  const DIVERGING = ["2166ac", "67a9cf", "d1e5f0", "f7f7f7", "fddbc7", "ef8a62", "b2182b"];
  const GREY = ["000000", "ffffff"];
  const PALETTES = { viridis: VIRIDIS, diverging: DIVERGING, grey: GREY };

  /* Colours of the theme: rlgen.colors.ink, .paper, .faint, .accent, .line, .c0 to .c7, as CSS colours. */
  rlgen.colors = new Proxy({}, {
    get: (_, name) =>
      typeof name === "string" ? getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim() : undefined,
  });

  /* The colour [r, g, b] of a share from 0 to 1 on a palette: viridis, diverging or grey. */
  rlgen.shade = function (palette, share) {
    const colors = PALETTES[palette] || VIRIDIS;
    const at = Math.min(1, Math.max(0, share)) * (colors.length - 1);
    const low = Math.min(colors.length - 2, Math.floor(at));
    const part = (color, i) => parseInt(color.slice(2 * i, 2 * i + 2), 16);
    return [0, 1, 2].map((i) => {
      const [a, b] = [part(colors[low], i), part(colors[low + 1], i)];
      return Math.round(a + (b - a) * (at - low));
    });
  };

  /* A cleared context in CSS pixels, sharp on every screen. */
  function begin(canvas) {
    const width = canvas.clientWidth || canvas.width;
    const height = canvas.clientHeight || canvas.height;
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    context.lineJoin = "round";
    return { context, width, height };
  }

  const finite = (values) => values.filter((value) => Number.isFinite(value));
  function extent(values, zero) {
    const found = finite(values);
    let low = found.reduce((a, b) => Math.min(a, b), zero ? 0 : Infinity);
    let high = found.reduce((a, b) => Math.max(a, b), zero ? 0 : -Infinity);
    if (!Number.isFinite(low)) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    return [low, high];
  }

  function clipped(context, text, room) {
    let shown = String(text);
    while (shown.length > 1 && context.measureText(shown).width > room) shown = `${shown.slice(0, -2)}…`;
    return shown;
  }

  /* Horizontal bars, one per label, with their values. {labels, values, highlight: index, allowed: [bool], low, high} */
  draw.bars = function (canvas, { labels, values, highlight = -1, allowed = null, low, high }) {
    const { context, width, height } = begin(canvas);
    const { ink, faint, accent, line } = rlgen.colors;
    const [least, most] = extent([...values, low, high].filter((v) => v !== undefined), true);
    const left = Math.min(0.4 * width, 8 + Math.max(0, ...labels.map((label) => context.measureText(label).width)));
    const room = width - left - 64;
    const step = height / Math.max(1, values.length);
    const x = (value) => left + 4 + (room * (value - least)) / (most - least);
    context.textBaseline = "middle";
    values.forEach((value, i) => {
      const middle = (i + 0.5) * step;
      const thick = Math.min(22, 0.66 * step);
      const off = allowed && !allowed[i];
      context.fillStyle = off ? faint : ink;
      context.textAlign = "right";
      context.fillText(clipped(context, labels[i], left - 4), left - 4, middle);
      context.textAlign = "left";
      if (off || !Number.isFinite(value)) {
        context.fillText(off ? "not allowed" : "–", left + 6, middle);
        return;
      }
      context.fillStyle = i === highlight ? accent : faint;
      context.globalAlpha = i === highlight ? 1 : 0.55;
      context.fillRect(Math.min(x(0), x(value)), middle - thick / 2, Math.max(1, Math.abs(x(value) - x(0))), thick);
      context.globalAlpha = 1;
      context.fillStyle = ink;
      context.fillText(rlgen.format.number(value), Math.max(x(0), x(value)) + 5, middle);
    });
    context.fillStyle = line;
    context.fillRect(x(0) - 0.5, 0, 1, height);
  };

  /* Axes with three ticks each; the functions from values to pixels. */
  function axes(context, width, height, [x0, x1], [y0, y1], { xlabel = "", ylabel = "" }) {
    const { faint, line } = rlgen.colors;
    const number = rlgen.format.number;
    const [left, right, top, bottom] = [50, 10, ylabel ? 20 : 8, xlabel ? 36 : 22];
    const x = (value) => left + ((width - left - right) * (value - x0)) / (x1 - x0);
    const y = (value) => height - bottom - ((height - top - bottom) * (value - y0)) / (y1 - y0);
    context.fillStyle = faint;
    context.strokeStyle = line;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      const value = y0 + share * (y1 - y0);
      context.beginPath();
      context.moveTo(left, y(value));
      context.lineTo(width - right, y(value));
      context.stroke();
      context.fillText(number(Number(value.toPrecision(3))), left - 6, y(value));
    }
    context.textBaseline = "top";
    for (const [share, align] of [[0, "left"], [0.5, "center"], [1, "right"]]) {
      const value = x0 + share * (x1 - x0);
      context.textAlign = align;
      context.fillText(number(Number(value.toPrecision(3))), x(value), height - bottom + 6);
    }
    context.textAlign = "center";
    if (xlabel) context.fillText(xlabel, (left + width - right) / 2, height - 14);
    context.textAlign = "left";
    if (ylabel) context.fillText(ylabel, 2, 2);
    return { x, y };
  }

  /* Lines over x. {x, series: [{label, values, color, dash, width}], marker: x, xlabel, ylabel, low, high} */
  draw.lines = function (canvas, { x, series, marker = null, xlabel, ylabel, low, high }) {
    const { context, width, height } = begin(canvas);
    const ys = series.flatMap((s) => finite(s.values)).concat([low, high].filter((v) => v !== undefined));
    const to = axes(context, width, height, extent(x), extent(ys), { xlabel, ylabel });
    series.forEach((s, i) => {
      context.strokeStyle = s.color || rlgen.colors[`c${i % 8}`];
      context.lineWidth = s.width || 1.75;
      context.setLineDash(s.dash || []);
      context.beginPath();
      let open = false;
      s.values.forEach((value, k) => {
        if (Number.isFinite(value)) context[open ? "lineTo" : "moveTo"](to.x(x[k]), to.y(value));
        open = Number.isFinite(value);
      });
      context.stroke();
      context.setLineDash([]);
    });
    if (marker !== null) {
      context.fillStyle = rlgen.colors.accent;
      context.fillRect(to.x(marker) - 0.75, 0, 1.5, height - 22);
    }
    return to;
  };

  /* Vertical bars over bins or atoms. {values, labels or x, highlight, xlabel, ylabel, color} */
  draw.histogram = function (canvas, { values, x = null, labels = null, highlight = -1, xlabel, ylabel, color }) {
    const { context, width, height } = begin(canvas);
    const range = x ? [x[0], x[x.length - 1]] : [0, values.length - 1];
    const half = values.length > 1 ? (range[1] - range[0]) / (values.length - 1) / 2 : 0.5;
    const to = axes(context, width, height, [range[0] - half, range[1] + half], [0, extent(values, true)[1]], { xlabel, ylabel });
    values.forEach((value, i) => {
      const at = x ? x[i] : i;
      const left = to.x(at - 0.9 * half);
      context.fillStyle = i === highlight ? rlgen.colors.accent : color || rlgen.colors.c0;
      if (Number.isFinite(value)) context.fillRect(left, to.y(value), Math.max(1, to.x(at + 0.9 * half) - left), to.y(0) - to.y(value));
      if (labels && labels[i] !== undefined && values.length <= 12) {
        context.textAlign = "center";
        context.fillStyle = rlgen.colors.ink;
        context.fillText(labels[i], to.x(at), Math.max(0, to.y(value) - 14));
      }
    });
    return to;
  };

  /* Cells of width x height values, row by row. {values, width, height, palette, low, high, labels: [text per cell]} */
  draw.heatmap = function (canvas, { values, width: columns, height: rows, palette = "viridis", low, high, labels = null }) {
    const { context, width, height } = begin(canvas);
    const [least, most] = extent(values);
    const [from, to] = [low === undefined ? least : low, high === undefined ? most : high];
    const picture = new ImageData(columns, rows);
    values.forEach((value, i) => {
      const known = Number.isFinite(value);
      picture.data.set(known ? rlgen.shade(palette, (value - from) / (to - from || 1)) : [0, 0, 0], 4 * i);
      picture.data[4 * i + 3] = known ? 255 : 0;
    });
    const small = rlgen.element("canvas", { width: columns, height: rows });
    small.getContext("2d").putImageData(picture, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, width, height);
    if (!labels) return { low: from, high: to };
    context.textAlign = "center";
    context.textBaseline = "middle";
    labels.forEach((label, i) => {
      if (label === null || label === undefined || label === "") return;
      const [r, g, b] = rlgen.shade(palette, (values[i] - from) / (to - from || 1));
      context.fillStyle = 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#000" : "#fff";
      context.fillText(label, ((i % columns) + 0.5) * (width / columns), (Math.floor(i / columns) + 0.5) * (height / rows));
    });
    return { low: from, high: to };
  };

  /* Points. {x, y, group: [index of colour], size, highlight: index, xlabel, ylabel}; the functions to pixels. */
  draw.scatter = function (canvas, { x, y, group = null, size = 2, highlight = -1, xlabel, ylabel, range = null }) {
    const { context, width, height } = begin(canvas);
    const to = axes(context, width, height, range ? range[0] : extent(x), range ? range[1] : extent(y), { xlabel, ylabel });
    const colors = Array.from({ length: 8 }, (_, i) => rlgen.colors[`c${i}`]);
    context.globalAlpha = x.length > 500 ? 0.6 : 0.85;
    x.forEach((at, i) => {
      context.fillStyle = colors[(group ? group[i] : 0) % 8];
      context.beginPath();
      context.arc(to.x(at), to.y(y[i]), size, 0, 7);
      context.fill();
    });
    context.globalAlpha = 1;
    if (highlight >= 0) {
      context.strokeStyle = rlgen.colors.ink;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(to.x(x[highlight]), to.y(y[highlight]), size + 4, 0, 7);
      context.stroke();
    }
    return to;
  };
})(window.rlgen);
