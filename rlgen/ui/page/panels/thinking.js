/* The agent thinks: a greedy episode frame by frame, with the value of each action and V(s) against what followed. */
"use strict";
(function (rlgen) {
  const { element, button, labelled, select, format, source } = rlgen;
  const CHUNK = 50;  // frames of a request
  const SPEEDS = [["0.1", "0.1 ×"], ["0.25", "0.25 ×"], ["0.5", "0.5 ×"], ["1", "1 ×"], ["2", "2 ×"], ["4", "4 ×"]];

  /* `count` of the portraits, evenly, the first and the last among them. */
  function ages(times, count) {
    if (times.length <= count) return times;
    return [...new Set(Array.from({ length: count }, (_, i) => times[Math.round((i * (times.length - 1)) / (count - 1))]))];
  }

  /* One age of the agent: its frame, its values and its curve, at a step. */
  function column(run, at, episode) {
    const image = element("img", { class: "frame pixels", alt: "the environment in this step" });
    const observed = element("div", { hidden: true });
    const values = rlgen.values(episode.names, episode.distribution, "Q-values");
    const curve = element("canvas", { class: "curve", role: "img", "aria-label": "V(s) and the return that followed, by step" });
    const said = element("figcaption", { class: "small" });
    const range = rlgen.valueRange(episode);  // widened by the quantiles as they arrive
    const x = episode.v.map((_, t) => t);
    const rest = episode.tail.some((value) => value)
      ? episode.returns.map((value, t) => value + episode.tail[t]) : null;
    const made = {
      at, episode, frames: [], distributions: [],
      widen(values) {
        range[0] = values.reduce((a, b) => Math.min(a, b), range[0]);
        range[1] = values.reduce((a, b) => Math.max(a, b), range[1]);
      },
      element: element("figure", { class: "age" },
        element("p", { class: "small faint", text: `after ${format.number(episode.time)} steps: return ${format.number(episode.score)}` }),
        image, observed, values.element, curve, said),
      show(t) {
        const step = Math.min(t, episode.steps);
        const inside = Math.min(step, episode.steps - 1);
        if (episode.film) {
          if (made.frames[step]) image.src = made.frames[step];
          image.hidden = !made.frames[step];
        } else if (episode.numbers) {
          rlgen.fill(observed, rlgen.numbers(episode.numbers, episode.observations[step], episode.reason));
          observed.hidden = false;
        }
        const spread = episode.distribution ? made.distributions[step] : null;
        if (step < episode.steps && (spread || !episode.distribution))
          values.show({ q: episode.q[step], action: episode.actions[step], taken: episode.actions[step], distribution: spread, atoms: episode.atoms, range });
        else values.clear();
        rlgen.draw.lines(curve, {
          x, marker: inside, xlabel: "step",
          series: [
            { label: "V(s)", values: episode.v, color: rlgen.colors.c0 },
            { label: "return that followed", values: episode.returns, color: rlgen.colors.c1 },
            ...(rest ? [{ label: "with V", values: rest, color: rlgen.colors.c1, dash: [4, 4], width: 1 }] : []),
          ],
        });
        const sum = episode.rewards.slice(0, step).reduce((a, b) => a + b, 0);
        said.textContent = step < episode.steps
          ? `step ${step}: ${episode.names[episode.actions[step]]} · V ${format.number(episode.v[step])}, followed by ${format.number(episode.returns[step])} · return so far ${format.number(sum)}`
          : `step ${step}: ${episode.truncated ? "time limit" : episode.terminated ? "end of the episode" : "recorded up to here"} · return ${format.number(episode.score)}`;
      },
    };
    image.hidden = true;
    return made;
  }

  function mount(parent, run, view) {
    const columns = element("div", { class: "ages" });
    const line = element("p", { class: "small faint", role: "status" });
    const units = element("p", { class: "small faint" });
    const slider = element("input", { type: "range", min: 0, max: 0, step: 1, value: "0", "aria-label": "Step of the episode", on: { input: () => go(Number(slider.value)) } });
    const output = element("output", { class: "small" });
    const play = button("", toggle, { icon: "play", label: "Play or pause (space)", class: "quiet" });
    const many = run.portraits && run.portraits.length > 1;
    let [seed, steps, ofAges, speed, t, token, timer] = [0, 500, "1", "1", 0, 0, 0];
    let shown = [];
    let gone = false;

    const number = (value, low, high, change) => element("input", { type: "number", min: low, max: high, step: 1, value: String(value),
      on: { change: (event) => change(Math.min(high, Math.max(low, Math.round(Number(event.target.value)) || low))) } });
    const toolbar = element("div", { class: "toolbar" },
      labelled("Seed", number(seed, 0, 9999, (value) => { seed = value; load(); })),
      labelled("Steps at most", number(steps, 1, 5000, (value) => { steps = value; load(); })),
      many ? labelled("Ages", select([["1", "at the time slider"], ["2", "2 side by side"], ["3", "3 side by side"], ["5", "5 side by side"]], ofAges,
        (value) => { ofAges = value; load(); }, { name: "ages" })) : null,
      labelled("Speed", select(SPEEDS, speed, (value) => { speed = value; })));
    const controls = element("div", { class: "scrub" },
      button("", () => go(0), { icon: "first", label: "First step (Home)", class: "quiet" }),
      button("", () => go(t - 1), { icon: "previous", label: "Step back (left arrow)", class: "quiet" }),
      play,
      button("", () => go(t + 1), { icon: "next", label: "Step forward (right arrow)", class: "quiet" }),
      button("", () => go(Infinity), { icon: "last", label: "End (End)", class: "quiet" }),
      slider, output);
    const legend = element("div", { class: "legend" },
      [["V(s)", "c0", ""], ["discounted return that followed", "c1", ""], ["with V of the last state, where the episode did not end by itself", "c1", "dash1"]].map(([text, color, dash]) =>
        element("span", { class: "entry" }, element("i", { class: `line ${dash}`, style: { "--series": `var(--${color})` } }), text)));
    const keys = element("p", { class: "small faint" }, element("kbd", { text: "←" }), " ", element("kbd", { text: "→" }), " a step, with ",
      element("kbd", { text: "Shift" }), " ten; ", element("kbd", { text: "space" }), " play or pause");
    const root = element("div", { class: "stack thinking", "data-keys": "", tabindex: 0, role: "group", "aria-label": "Episode, frame by frame", on: { keydown: onkey } },
      toolbar, controls, columns, legend, units, keys, line);
    parent.append(root);

    const last = () => Math.max(0, ...shown.map((each) => each.episode.steps));
    function go(step) {
      t = Math.min(last(), Math.max(0, step));
      slider.max = String(last());
      slider.value = String(t);
      output.textContent = `${t} / ${last()}`;
      root.dataset.step = String(t);
      for (const each of shown) each.show(t);
    }

    function onkey(event) {
      if (event.target.matches("input[type=number], select")) return;
      const by = event.shiftKey ? 10 : 1;
      if (event.key === "ArrowRight") go(t + by);
      else if (event.key === "ArrowLeft") go(t - by);
      else if (event.key === "Home") go(0);
      else if (event.key === "End") go(Infinity);
      else if (event.key === " " && !event.target.matches("button")) toggle();
      else return;
      event.preventDefault();
    }

    function toggle() {
      if (timer) return pause();
      if (t >= last()) go(0);
      const fps = Math.min(60, Math.max(...shown.map((each) => each.episode.fps), 1) * Number(speed));
      rlgen.fill(play, rlgen.icon("pause"));
      timer = setInterval(() => {
        const next = t + 1;
        const waiting = shown.some((each) => each.episode.film && next <= each.episode.steps && !each.frames[next]);
        if (waiting) return;  // not drawn yet
        if (next > last()) pause();
        else go(next);
      }, 1000 / fps);
    }

    function pause() {
      clearInterval(timer);
      timer = 0;
      rlgen.fill(play, rlgen.icon("play"));
    }

    /* Each age in turn, its episode and then its frames: the server keeps a few agents in memory. */
    async function load() {
      const mine = ++token;
      const stale = () => gone || mine !== token;
      pause();
      shown = [];
      columns.replaceChildren();
      columns.dataset.loading = "yes";
      const times = ofAges === "1" ? [rlgen.portrait(run, view)] : ages(run.portraits, Number(ofAges));
      line.className = "small faint";
      line.textContent = "recording …";
      try {
        for (const at of times) {
          const body = { at, seed, max_steps: steps };
          const episode = await source.call(run.name, "episode", body);
          if (stale()) return;
          const each = column(run, at, episode);
          shown.push(each);
          columns.append(each.element);
          units.textContent = `Q, V and the return that followed are in units of training: ${episode.units}.`;
          go(Math.min(t, episode.steps));
          for (let start = 0; start <= episode.steps && (episode.film || episode.distribution); start += CHUNK) {
            line.textContent = episode.film ? `drawing frame ${start} of ${episode.steps}` : "";
            const part = await source.call(run.name, "frames", { ...body, start, count: CHUNK, film: episode.film });
            if (stale()) return;
            part.frames.forEach((url, i) => { each.frames[start + i] = url; });
            part.distributions.forEach((rows, i) => { each.distributions[start + i] = rows; });
            if (episode.distribution === "quantiles") each.widen(part.distributions.flat(2));
            if (t >= start && t < start + CHUNK) each.show(t);
          }
        }
        line.textContent = "";
        delete columns.dataset.loading;
      } catch (error) {
        if (stale()) return;
        line.className = "error";
        line.textContent = error.message;
      }
    }

    const later = () => { clearTimeout(later.timer); later.timer = setTimeout(() => ofAges === "1" && run.portraits && run.portraits.length && load(), 400); };
    const redraw = () => go(t);
    let at = rlgen.portrait(run, view);
    const moved = () => { if (rlgen.portrait(run, view) !== at) { at = rlgen.portrait(run, view); later(); } };
    view.on("time", moved);
    view.on("theme", redraw);
    addEventListener("resize", redraw);
    load();
    return {
      destroy() {
        gone = true;
        pause();
        clearTimeout(later.timer);
        view.off("time", moved);
        view.off("theme", redraw);
        removeEventListener("resize", redraw);
      },
    };
  }

  rlgen.panel({ name: "thinking", title: "Thinking", order: 10, mount });
})(window.rlgen);
