/* Elements of the page, built from text alone, and the formats of numbers, times and names. */
"use strict";
window.rlgen = window.rlgen || {};
(function (rlgen) {
  const SVG = "http://www.w3.org/2000/svg";
  const PROPERTIES = new Set(["checked", "disabled", "hidden", "open", "selected", "value"]);
  const ICONS = {  // paths of 24 x 24
    close: "M6 6 18 18M18 6 6 18",
    copy: "M9 9h11v11H9zM5 15H4V4h11v1",
    first: "M18 6l-8 6 8 6zM6 6v12",
    help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5",
    last: "M6 6l8 6-8 6zM18 6v12",
    next: "M8 5l9 7-9 7z",
    pause: "M8 5v14M16 5v14",
    previous: "M16 5l-9 7 9 7z",
    play: "M7 5l12 7-12 7z",
    theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
    wide: "M4 6h16M4 12h16M4 18h16",
  };

  /* The element <tag> with attributes, listeners {on: {event: function}} and children: elements, or text. */
  rlgen.element = function (tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "class") made.className = value;
      else if (name === "text") made.textContent = value;
      else if (name === "on") for (const [event, f] of Object.entries(value)) made.addEventListener(event, f);
      else if (name === "style") for (const [key, v] of Object.entries(value)) made.style.setProperty(key, v);
      else if (PROPERTIES.has(name)) continue;
      else if (name.startsWith("on") || name === "srcdoc") throw new Error(`no attribute ${name}: use on`);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    for (const name of PROPERTIES)  // after the children: the value of a <select> is one of its options
      if (attributes && attributes[name] !== undefined && name in made) made[name] = attributes[name];
    return made;
  };

  /* A pictogram that takes the colour of the text; hidden from screen readers. */
  rlgen.icon = function (name) {
    const svg = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "path");
    for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: `icon icon-${name}`, "aria-hidden": "true" }))
      svg.setAttribute(key, value);
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
  };

  /* A button with text or a pictogram; `label` is its name for screen readers and its tooltip. */
  rlgen.button = function (text, onclick, attributes = {}) {
    const { icon, label, ...rest } = attributes;
    const named = label ? { title: label, "aria-label": text ? undefined : label } : {};
    return rlgen.element("button", { type: "button", on: { click: onclick }, ...named, ...rest },
      icon ? rlgen.icon(icon) : null, text || null);
  };

  /* A labelled control: <label>text <control></label>. */
  rlgen.labelled = (text, control, attributes = {}) =>
    rlgen.element("label", { class: "control", ...attributes }, rlgen.element("span", { text }), control);

  /* A <select> of [value, text] pairs. */
  rlgen.select = (options, value, change, attributes = {}) =>
    rlgen.element("select", { ...attributes, value, on: { change: (event) => change(event.target.value) } },
      options.map(([key, text]) => rlgen.element("option", { value: key, text })));

  /* Replace the children of an element. */
  rlgen.fill = function (parent, ...children) {
    parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
    return parent;
  };

  const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const format = (rlgen.format = {});

  /* Four significant digits; thousands separators; "–" for no number. */
  format.number = function (value) {
    if (value === null || value === undefined || value === "") return "–";
    if (typeof value !== "number") return String(value);
    if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "–";
    const size = Math.abs(value);
    if (size && (size < 1e-4 || size >= 1e12)) return value.toExponential(2).replace("-", "−");
    if (Number.isInteger(value) || size >= 10000) return grouped.format(value).replace("-", "−");
    return String(Number(value.toPrecision(4))).replace("-", "−");
  };
  format.percent = (value) => `${format.number(100 * value)} %`;

  /* Seconds as 45 s, 3:07 min or 2:14:05 h. */
  format.duration = function (seconds) {
    if (typeof seconds !== "number" || !Number.isFinite(seconds)) return "–";
    if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
    const two = (n) => String(Math.floor(n)).padStart(2, "0");
    if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`;
    return `${Math.floor(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)} h`;
  };

  /* How long ago a moment was: "3 min". */
  format.age = function (moment) {
    const seconds = (Date.now() - Date.parse(moment)) / 1000;
    if (!Number.isFinite(seconds)) return "–";
    const units = [["s", 60], ["min", 60], ["h", 24], ["d", 365], ["y", Infinity]];
    let n = Math.max(0, seconds);
    for (const [unit, size] of units) {
      if (n < size) return `${Math.floor(n)} ${unit}`;
      n /= size;
    }
    return "–";
  };
  format.moment = (moment) =>
    Number.isFinite(Date.parse(moment)) ? new Date(moment).toISOString().slice(0, 16).replace("T", " ") + " UTC" : "–";
  format.bytes = (n) =>
    typeof n !== "number" ? "–" : n < 2 ** 30 ? `${format.number(n / 2 ** 20)} MiB` : `${format.number(n / 2 ** 30)} GiB`;

  /* A value of a setting: short JSON. */
  format.setting = function (value) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "string") return value || "none";
    if (typeof value === "number") return format.number(value);
    return JSON.stringify(value);
  };

  /* "top_losses.png" -> "Top losses". */
  format.title = function (name) {
    const words = name.replace(/\.(png|gif)$/, "").replace(/[_-]+/g, " ");
    return words.charAt(0).toUpperCase() + words.slice(1) + (name.endsWith(".gif") ? " (film)" : "");
  };
})(window.rlgen);
