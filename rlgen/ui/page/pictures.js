/* Pictures of the chosen runs: those over time side by side at the common time, single ones below. */
"use strict";
(function (rlgen) {
  const { element, format, view, runs, source } = rlgen;
  const OWN = new Set(["curves.png", "curves"]);  // the page draws these itself
  const films = element("div", { class: "films" });
  const singles = element("div", { class: "singles" });
  const none = element("p", { class: "faint", text: "The chosen runs have no pictures." });
  const image = element("img", { alt: "" });
  const caption = element("p");
  const dialog = element("dialog", { class: "zoom", "aria-label": "Picture", on: { click: () => dialog.close(), close: () => (zoomed = null) } },
    image, caption);
  let frames = [];  // {run, name, times, image, caption}
  let zoomed = null;
  let built = "";

  /* The time of the picture that is shown at a time: the last one before it, else the first. */
  function nearest(times, time) {
    let found = times[0];
    for (const t of times) if (t <= time + 1e-9) found = t;
    return found;
  }

  const address = (run, name, time) =>
    source.image(time === null ? source.path(run.name, "picture", name) : source.path(run.name, "picture", name, String(time)),
      runs.active(run) ? run.updated || run.time || 0 : run.finished || run.seconds || 0);

  function sharp(img) {  // few pixels are enlarged without blur
    img.classList.toggle("pixels", img.naturalWidth > 0 && img.naturalWidth < 256);
  }

  function show(frame) {
    const time = frame.times.length ? nearest(frame.times, view.time ?? view.end) : null;
    const url = address(frame.run, frame.name, time);
    const when = time === null ? "" : ` at ${format.number(time)} ${frame.run.time_label || runs.unit(frame.run)}`;
    if (frame.url !== url) {
      frame.url = url;
      if (url) frame.image.src = url;
      frame.image.hidden = !url;
      frame.image.alt = `${format.title(frame.name)} of ${frame.run.name}${when}`;
      frame.when.textContent = url ? when.trim() : "not in this report";
      ahead(frame, time);
    }
    if (zoomed === frame) enlarge(frame);
  }

  /* Load the pictures on both sides, so that the slider moves without gaps. */
  function ahead(frame, time) {
    if (!source.live || time === null) return;
    const at = frame.times.indexOf(time);
    for (const next of [at + 1, at - 1, at + 2])
      if (frame.times[next] !== undefined) new Image().src = address(frame.run, frame.name, frame.times[next]);
  }

  function enlarge(frame) {
    zoomed = frame;
    image.src = frame.image.src;
    image.alt = frame.image.alt;
    caption.textContent = frame.image.alt;
    if (!dialog.open) dialog.showModal();
  }

  function figure(run, name, times, title) {
    const frame = { run, name, times };
    frame.image = element("img", { loading: "lazy", decoding: "async", on: {
      load: (event) => sharp(event.target), error: (event) => {
        event.target.alt = "This picture cannot be read.";
      } } });
    frame.when = element("span", { class: "faint" });
    frames.push(frame);
    return element("figure", { class: "picture", "data-run": run.name, style: { "--series": runs.color(run.name) } },
      element("button", { type: "button", class: "plain", "aria-label": `Enlarge ${format.title(name)} of ${run.name}`, on: { click: () => enlarge(frame) } }, frame.image),
      element("figcaption", {}, element("span", { class: "run", text: title || run.name }), " ", frame.when));
  }

  function render() {
    const chosen = runs.chosen();
    const now = JSON.stringify(chosen.map((run) => [run.name, run.color, run.pictures, runs.slot(run.name)]));
    if (now !== built) {
      built = now;
      frames = [];
      const dated = new Map();
      const plain = new Map();
      for (const run of chosen)
        for (const [name, times] of Object.entries(run.pictures || {})) {
          if (OWN.has(name)) continue;
          const table = times.length ? dated : plain;
          if (!table.has(name)) table.set(name, []);
          table.get(name).push(run);
        }
      const block = (table, kind) => [...table].map(([name, having]) =>
        element("section", { class: kind, "aria-label": format.title(name) }, element("h3", { text: format.title(name) }),
          element("div", { class: "strip" }, having.map((run) => figure(run, name, run.pictures[name])))));
      rlgen.fill(films, block(dated, "film"));
      rlgen.fill(singles, block(plain, "single"));
      none.hidden = dated.size + plain.size > 0 || !chosen.length;
    } else for (const frame of frames) frame.run = runs.details.get(frame.run.name) || frame.run;
    frames.forEach(show);
  }

  /* Build the section in `parent`. */
  rlgen.pictures = function (parent) {
    parent.append(none, films, singles);
    document.body.append(dialog);
    dialog.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) view.step(by);
    });
    view.on("data", render);
    view.on("time", () => frames.filter((frame) => frame.times.length).forEach(show));
    view.on("hover", (name) => document.querySelectorAll(".picture").forEach((f) => f.classList.toggle("hover", f.dataset.run === name)));
  };
})(window.rlgen);
