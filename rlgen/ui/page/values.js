/* The values of the actions of an agent: bars of Q, histograms of returns (C51) or steps of their quantiles. */
"use strict";
(function (rlgen) {
  const { element, format } = rlgen;
  const ROW = { "": 26, atoms: 48, quantiles: 48 };  // pixels: height of an action

  /* An element that draws values: `show({q, action, taken, distribution, atoms, range})` of the actions `names`.

     q: null where an action is not allowed; action: the greedy one; taken: the one taken, highlighted; kind: "", "atoms"
     or "quantiles", of which distribution holds an array per action. range: [low, high] of all that will be shown. */
  rlgen.values = function (names, kind, label) {
    const canvas = element("canvas", { class: "values", role: "img", style: { height: `${Math.max(60, ROW[kind || ""] * names.length + 12)}px` } });
    const about = element("p", { class: "hidden" });
    let last = null;
    function show(shown) {
      last = shown;
      const { q, taken = shown.action, distribution = null, range = [] } = shown;
      const text = names.map((name, i) => `${name} ${q[i] === null ? "not allowed" : format.number(q[i])}`).join(", ");
      canvas.setAttribute("aria-label", `${label}: ${text}`);
      canvas.dataset.q = JSON.stringify(q);
      if (distribution) spread(canvas, names, kind, { ...shown, taken, range });
      else
        rlgen.draw.bars(canvas, {
          labels: names, values: q, highlight: taken, allowed: q.map((value) => value !== null), low: range[0], high: range[1],
        });
    }
    return { element: element("div", {}, canvas, about), canvas, show, redraw: () => last && show(last), clear: () => clear(canvas) };
  };

  /* The lowest and highest value of an episode: [low, high], of returns with some probability where there are atoms. */
  rlgen.valueRange = function (episode) {
    const all = episode.q.flat().filter((value) => value !== null);
    if (episode.atoms) return [episode.atoms[0], episode.atoms[episode.atoms.length - 1]];
    return [Math.min(...all), Math.max(...all)];
  };

  function clear(canvas) {
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  }

  function spread(canvas, names, kind, { q, taken, distribution, atoms, range }) {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth || 320, canvas.clientHeight || 100];
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const { ink, faint, accent, line } = rlgen.colors;
    const everything = kind === "atoms" ? atoms : distribution.flat();
    const [low, high] = [Math.min(...everything, range[0] ?? Infinity), Math.max(...everything, range[1] ?? -Infinity)];
    const left = Math.min(0.4 * width, 10 + Math.max(...names.map((name) => context.measureText(name).width)));
    const x = (value) => left + 8 + ((width - left - 72) * (value - low)) / (high - low || 1);
    const row = (height - 12) / names.length;
    names.forEach((name, i) => {
      const floor = (i + 1) * row - 3;
      const tall = row - 10;
      const chosen = i === taken;
      context.textAlign = "right";
      context.fillStyle = chosen ? ink : faint;
      context.fillText(name, left, floor - tall / 2);
      context.textAlign = "left";
      if (q[i] === null) {
        context.fillText("not allowed", left + 8, floor - tall / 2);
        return;
      }
      context.fillText(format.number(q[i]), width - 58, floor - tall / 2);
      context.strokeStyle = line;
      context.strokeRect(x(low), floor, x(high) - x(low), 0.5);
      context.fillStyle = context.strokeStyle = chosen ? accent : faint;
      if (kind === "atoms") {
        const most = Math.max(...distribution[i], 1e-9);
        const half = Math.max(0.5, (0.45 * (x(high) - x(low))) / Math.max(1, atoms.length - 1));
        context.globalAlpha = chosen ? 1 : 0.6;
        distribution[i].forEach((p, k) => context.fillRect(x(atoms[k]) - half, floor - (tall * p) / most, 2 * half, (tall * p) / most));
        context.globalAlpha = 1;
      } else {
        const sorted = [...distribution[i]].sort((a, b) => a - b);
        context.lineWidth = chosen ? 2 : 1.25;
        context.beginPath();
        context.moveTo(x(low), floor);
        sorted.forEach((value, k) => {
          context.lineTo(x(value), floor - (tall * k) / sorted.length);
          context.lineTo(x(value), floor - (tall * (k + 1)) / sorted.length);
        });
        context.lineTo(x(high), floor - tall);
        context.stroke();
      }
      context.fillStyle = ink;
      context.fillRect(x(q[i]) - 0.75, floor - tall, 1.5, tall);
    });
    context.fillStyle = faint;
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillText(format.number(low), x(low), height - 5);
    context.textAlign = "right";
    context.fillText(format.number(high), x(high), height - 5);
  }

  /* A row of an environment that cannot render: why, and the numbers of its observation. */
  rlgen.numbers = function (described, values, reason) {
    return element("div", { class: "numbers" },
      reason ? element("p", { class: "small faint", text: `No pictures: ${reason}. These are the numbers of the observation; the value map shows the rest.` }) : null,
      described
        ? element("dl", { class: "facts" }, described.flatMap((number, i) =>
          [element("dt", { text: number.name }), element("dd", { text: format.number(values[i]) })]))
        : null);
  };
})(window.rlgen);
