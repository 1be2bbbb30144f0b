/* The time slider: one time for curves, samples, maps and films of all chosen runs. */
"use strict";
(function (rlgen) {
  const { element, button, format, view, runs } = rlgen;
  const FRAME = 400;  // milliseconds per stop while playing
  const range = element("input", {
    type: "range", id: "time", min: 0, max: 1, step: "any", value: 1, "aria-label": "Time of training",
    on: { input: () => set(Number(range.value)), keydown: keys },
  });
  const shown = element("output", { for: "time", class: "time" });
  const ticks = element("div", { class: "ticks", "aria-hidden": "true" });
  const play = button("", toggle, { icon: "play", label: "Play (space)", class: "quiet", id: "play" });
  let timer = 0;

  const set = (time) => view.follow(time >= view.end, time);

  /* The stops: times of pictures and portraits; without any, fiftieths of the training. */
  function stops() {
    const all = view.stops.length > 1 ? view.stops : Array.from({ length: 51 }, (_, i) => (view.end * i) / 50);
    return all[all.length - 1] < view.end ? [...all, view.end] : all;
  }

  /* Go to the next stop, or by -1 to the one before; by 10 or -10 further. */
  view.step = function (by) {
    const all = stops();
    const now = view.time ?? view.end;
    const at = by > 0 ? all.findIndex((time) => time > now + 1e-9) : all.findLastIndex((time) => time < now - 1e-9);
    if (at < 0) return;
    set(all[Math.min(all.length - 1, Math.max(0, at + by - Math.sign(by)))]);
  };

  function keys(event) {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (event.key === "Home") set(0);
    else if (event.key === "End") set(view.end);
    else if (by) view.step(by);
    else return;
    event.preventDefault();
  }

  function toggle() {
    if (timer) {
      clearInterval(timer);
      timer = 0;
    } else {
      if ((view.time ?? 0) >= view.end) set(0);
      timer = setInterval(() => ((view.time ?? 0) >= view.end ? toggle() : view.step(1)), FRAME);
    }
    play.replaceChildren(rlgen.icon(timer ? "pause" : "play"));
    play.title = timer ? "Pause (space)" : "Play (space)";
    play.setAttribute("aria-label", play.title);
  }
  view.play = toggle;

  function render() {
    const chosen = runs.chosen();
    const units = [...new Set(chosen.map((run) => run.time_label || runs.unit(run)))].join(" / ");
    const time = view.time ?? view.end;
    range.max = view.end || 1;
    range.value = time;
    range.disabled = !view.end;
    const text = `${format.number(Math.round(time))} ${units}`;
    shown.textContent = text;
    range.setAttribute("aria-valuetext", text);
  }

  function renderTicks() {
    const width = view.end || 1;
    rlgen.fill(ticks, view.stops.slice(0, 400).map((time) => element("i", { style: { left: `${(100 * time) / width}%` } })));
    render();
  }

  /* Build the slider in `parent`. */
  rlgen.clock = function (parent) {
    const step = (icon, label, f) => button("", f, { icon, label, class: "quiet" });
    parent.append(
      element("div", { class: "buttons" },
        step("first", "Start", () => set(0)), step("previous", "Previous stop ([)", () => view.step(-1)), play,
        step("next", "Next stop (])", () => view.step(1)), step("last", "End, and follow it", () => set(view.end))),
      element("div", { class: "track" }, range, ticks), shown);
    view.on("time", render);
    view.on("extent", renderTicks);
  };
})(window.rlgen);
