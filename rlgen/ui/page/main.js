/* The page of `rlgen ui` and `rlgen report`: its frame, its keys, its start.

   Classic scripts in one namespace, loaded in the order of SCRIPTS in __init__.py; text reaches the page by
   textContent alone. A panel is one file, panels/NAME.js, that registers itself:

     rlgen.panel({
       name: "latent", title: "Latent plane", order: 20,
       applies: (run) => true,            // default: the server lists the name in run.panels, and the page is live
       mount(element, run, view) {        // fills `element`; called when the panel is opened
         return { destroy() {} };         // optional: called when the panel is closed
       },
     });

   run        the JSON of /api/runs/NAME: name, kind, config, pictures, portraits, panels, ...
   view       view.time   the common time slider, in units of the run (steps, images)
              view.end    the end of the slider
              view.on("time", f), view.off("time", f), view.set("time", t); also "theme", for canvases
   rlgen.element(tag, {class, text, on: {event: f}, style: {property: value}, ...attributes}, ...children)
   rlgen.button(text, f, {icon, label, ...attributes}), rlgen.labelled(text, control), rlgen.select(pairs, value, f)
   rlgen.draw.bars|lines|histogram|heatmap|scatter(canvas, {...}), see draw.js; rlgen.colors.ink, .accent, .c0 ... .c7
   rlgen.source.json(path), .image(path), .call(run, action, body), .path(run, ...parts), .live
   rlgen.format.number|percent|duration|bytes|title; rlgen.notice(text): a line that appears for a moment */
"use strict";
(function (rlgen) {
  const { element, button, view, runs, source } = rlgen;
  const SECTIONS = [["curves", "Curves"], ["pictures", "Pictures"], ["explore", "Explore"], ["compare", "Compare"], ["details", "Details"]];
  const KEYS = [
    ["/", "filter the runs"], ["↑ ↓", "in the table: run above, below"], ["space", "on a checkbox: show or hide the run; elsewhere: play, pause"],
    ["[ ]", "previous, next stop of the time slider"], ["Home End", "on the slider: start, end"], ["1 – 5", "section of the page"],
    ["w", "all columns of the table"], ["t", "light or dark"], ["?", "this list"], ["Esc", "close"],
  ];
  const notices = element("div", { id: "notices", role: "status", "aria-live": "polite" });

  /* A line that appears for some seconds; equal lines appear once. */
  rlgen.notice = function (text) {
    if ([...notices.children].some((old) => old.textContent === text)) return;
    const line = element("p", { class: "notice", text });
    notices.append(line);
    setTimeout(() => line.remove(), 8000);
  };

  const help = element("dialog", { id: "help", "aria-label": "Keys", on: { click: (e) => e.target === help && help.close() } },
    element("div", { class: "bar" }, element("h2", { text: "Keys" }), button("", () => help.close(), { icon: "close", label: "Close", class: "quiet" })),
    element("dl", { class: "keys" }, KEYS.flatMap(([keys, what]) =>
      [element("dt", {}, keys.split(" ").map((k) => (k === "–" ? " – " : element("kbd", { text: k })))), element("dd", { text: what })])),
    element("p", { class: "faint", text: "Tab reaches everything; Enter and Space press. Drag across a chart to enlarge a part of it, double click for all of it; a click sets the time." }));

  function header(parent) {
    const place = element("span", { class: "folder faint" });
    const live = element("span", { class: "live" });
    const update = () => {
      place.textContent = runs.folder;
      place.title = runs.folder;
      const active = runs.list.filter((run) => run.status === "running").length;
      live.textContent = source.live ? (runs.error ? "no connection" : active ? `${active} training` : "live") : "report";
      live.dataset.state = runs.error ? "error" : active ? "active" : "";
    };
    parent.append(element("span", { class: "brand", text: "rlgen" }), place,
      element("nav", { "aria-label": "Sections" }, SECTIONS.map(([id, title]) => button(title, () => jump(id), { class: "link" }))),
      live,
      button("", view.toggleTheme, { icon: "theme", label: "Light or dark (t)", class: "quiet", id: "theme" }),
      button("", () => help.showModal(), { icon: "help", label: "Keys (?)", class: "quiet", id: "keys" }));
    view.on("list", update);
    update();
  }

  function jump(id) {
    const section = document.getElementById(id);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    section.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
    section.querySelector("h2").focus({ preventScroll: true });
  }

  function empty() {
    const commands = ["rlgen dqn CartPole", "rlgen gan mnist", "rlgen classify mnist"];
    return element("section", { class: "card empty", id: "empty", hidden: true },
      element("h2", { text: "No runs yet" }),
      element("p", { text: "Train something in a terminal; it appears here within a second." }),
      commands.map((command) => element("p", {}, element("code", { text: command }), rlgen.copy ? rlgen.copy(command) : null)));
  }

  function main(parent) {
    const welcome = empty();
    const nothing = element("p", { class: "faint card", id: "nothing", text: "No run is chosen: check one in the table." });
    const sections = SECTIONS.map(([id, title]) => {
      const section = element("section", { id, "aria-labelledby": `${id}-title` }, element("h2", { id: `${id}-title`, tabindex: "-1", text: title }));
      if (rlgen[id]) rlgen[id](section);
      return section;
    });
    const timebar = element("div", { id: "timebar", role: "group", "aria-label": "Time" });
    rlgen.clock(timebar);
    parent.append(welcome, nothing, ...sections, timebar);
    const update = () => {
      const none = runs.loaded && !runs.list.length;
      const unchosen = runs.loaded && !none && !(view.runs || []).length;
      welcome.hidden = !none;
      nothing.hidden = !unchosen;
      for (const part of [...sections, timebar]) part.hidden = !runs.loaded || none || unchosen;
      document.body.classList.toggle("no-runs", none);
    };
    for (const name of ["list", "runs", "data"]) view.on(name, update);
    update();
  }

  function onkey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    const typing = at.matches("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable], [data-keys]");
    if (event.key === "Escape" && at.id === "filter") {
      view.set("filter", "");
      at.blur();
    }
    if (typing || at.closest("[data-keys]") || document.querySelector("dialog[open]")) return;
    const number = Number(event.key);
    if (event.key === "/") document.getElementById("filter").focus();
    else if (event.key === "?") help.showModal();
    else if (event.key === "t") view.toggleTheme();
    else if (event.key === "w") document.body.classList.toggle("wide");
    else if (event.key === "[") view.step(-1);
    else if (event.key === "]") view.step(1);
    else if (event.key === " " && !at.matches("button, input, summary, a")) view.play();
    else if (number >= 1 && number <= SECTIONS.length) jump(SECTIONS[number - 1][0]);
    else return;
    event.preventDefault();
  }

  view.read();
  header(document.getElementById("header"));
  rlgen.table(document.getElementById("runs"));
  main(document.getElementById("main"));
  document.body.append(notices, help);
  document.addEventListener("keydown", onkey);
  addEventListener("hashchange", view.read);
  document.body.classList.toggle("report", !source.live);
  runs.start().catch((error) => rlgen.notice(error.message)).finally(() => document.body.classList.add("ready"));
})(window.rlgen);
