/* Why a network decides as it does: the map of a method for a picture beside that of random weights, and its verdict. */
"use strict";
(function (rlgen) {
  const { element, labelled, select, source, draw } = rlgen;
  const SIDE = 200;  // CSS pixels of a picture

  function mount(body, run, view) {
    const chosen = { network: undefined, picture: 0, target: -1, method: "saliency" };
    let subject = null;
    let found = null;
    let wanted = 0;
    let alive = true;
    let at = rlgen.portrait(run, view);
    const controls = element("div", { class: "toolbar" });
    const strip = element("div", { class: "strip", role: "group", "aria-label": "Pictures" });
    const status = element("p", { role: "status" });
    const sentence = element("p");
    const note = element("p", { class: "small faint" });
    const size = { width: `${SIDE}px`, height: `${SIDE}px` };
    const decision = element("figcaption");
    const picture = element("img", { class: "pixels", alt: "", style: size });
    const maps = ["trained", "random"].map((name) => [name, element("canvas", { role: "img", style: size })]);
    const figure = (child, caption) => element("figure", {}, child, element("figcaption", { text: caption }));
    const shown = element("div", { class: "films", hidden: true },
      element("figure", {}, picture, decision), figure(maps[0][1], "trained weights"), figure(maps[1][1], "random weights"));

    function set(name, value) {
      chosen[name] = value;
      if (name === "network") open();
      else compute();
    }

    function fill() {
      rlgen.fill(controls,
        subject.networks.length > 1
          ? labelled("network", select(subject.networks.map((name) => [name, name]), subject.network, (value) => set("network", value))) : null,
        labelled("method", select(subject.methods.map((m) => [m.name, m.title]), chosen.method, (value) => set("method", value))),
        labelled(subject.output, select([["-1", `the decided ${subject.output}`], ...subject.classes.map((name, i) => [String(i), name])],
          String(chosen.target), (value) => set("target", Number(value)))));
      rlgen.fill(strip, subject.pictures.map((url, i) => {
        const label = caption(i);
        return element("button", { type: "button", class: "plain", title: label, "aria-label": `Picture ${i + 1}: ${label}`,
          style: { width: "auto", cursor: "pointer" }, on: { click: () => choose(i) } },
          element("img", { class: "pixels", src: url, alt: "", style: { width: "44px", height: "44px" } }));
      }));
      mark();
      picture.src = subject.pictures[chosen.picture];
    }

    function caption(i) {
      const wrong = subject.labels[i] !== subject.decided[i];
      return `${wrong ? `${subject.labels[i]} → ` : ""}${subject.decided[i]} ${subject.scores[i]}`;
    }

    function mark() {
      [...strip.children].forEach((button, i) => {
        button.setAttribute("aria-pressed", String(i === chosen.picture));
        button.style.boxShadow = i === chosen.picture ? "0 0 0 3px var(--accent)" : "none";
      });
    }

    function choose(i) {
      set("picture", i);
      mark();
    }

    function paint() {
      if (!found) return;
      for (const [name, canvas] of maps) {
        draw.heatmap(canvas, { values: found[name], width: found.width, height: found.height,
          palette: found.signed ? "diverging" : "viridis", low: found.signed ? -1 : 0, high: 1 });
        canvas.setAttribute("aria-label", `Map of ${name} weights`);
      }
    }

    /* The answer of the latest request; null where a later one was made. */
    async function ask(action, request, waiting) {
      const mine = ++wanted;
      status.textContent = waiting;
      try {
        const answer = await source.call(run.name, action, { at, ...request });
        if (!alive || mine !== wanted) return null;
        status.textContent = "";
        return answer;
      } catch (error) {
        if (alive && mine === wanted) status.textContent = error.message;
        return null;
      }
    }

    async function open() {
      const answer = await ask("subject", { network: chosen.network }, "loading …");
      if (!answer) return;
      if (answer.unavailable) {
        status.textContent = answer.unavailable;
        controls.hidden = strip.hidden = true;
        return;
      }
      subject = answer;
      chosen.target = chosen.target < subject.classes.length ? chosen.target : -1;
      chosen.picture = Math.min(chosen.picture, subject.pictures.length - 1);
      fill();
      await compute();
    }

    async function compute() {
      if (!subject) return;
      const answer = await ask("explain", { ...chosen, network: subject.network }, "computing the maps …");
      if (!answer) return;
      found = answer;
      shown.hidden = false;
      picture.src = subject.pictures[chosen.picture];
      decision.textContent = caption(chosen.picture);
      picture.alt = `Picture ${chosen.picture + 1}: ${decision.textContent}`;
      paint();
      sentence.textContent = found.sentence;
      sentence.className = found.passed ? "" : "error";
      const scale = found.signed ? "Red is positive, blue negative" : "Yellow is large, dark small";
      const rho = Object.entries(found.correlations).map(([stage, value]) => `${found.stages[stage]} ${value === null ? "–" : value.toFixed(2)}`);
      note.textContent = `Map: ${found.quantity}, for ${found.target}. ${scale}; each map has its own scale. Rank correlation with ${rho.join(", ")}. On a picture: ${subject.caption}.`;
    }

    function moved() {
      const next = rlgen.portrait(run, view);
      if (next === at) return;
      at = next;
      open();
    }

    body.append(controls, strip, status, shown, sentence, note);
    view.on("time", moved);
    open();
    return {
      destroy() {
        alive = false;
        view.off("time", moved);
      },
    };
  }

  rlgen.panel({ name: "explain", title: "Explanation", order: 60, mount });
})(window.rlgen);
