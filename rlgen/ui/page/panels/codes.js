/* The codes of a VQ-VAE: those of an image in their grid; a click puts another code in a place, and the picture follows. */
"use strict";
(function (rlgen) {
  const { element, button, format, source } = rlgen;

  function mount(parent, run, view) {
    const grid = element("div", { class: "grid-of-codes", role: "group", "aria-label": "Codes of the image" });
    const book = element("div", { class: "mosaic codebook", role: "group", "aria-label": "Codebook by use" });
    const given = rlgen.shown("image", 150);
    const again = rlgen.shown("reconstruction", 150);
    const changed = rlgen.shown("of the changed codes", 150);
    const chooser = element("div");
    const text = element("p", { role: "status" });
    const note = element("p", { class: "small faint" });
    let about = null;
    let original = [];
    let codes = [];
    let place = 0;
    let request = { of: "test", index: 0 };
    let at = rlgen.portrait(run, view);

    const call = (action, body) => source.call(run.name, action, { at, ...body });
    const fail = (error) => { text.textContent = error.message; };
    const patch = (k) => about.patches[about.codes.indexOf(k)];

    function fillGrid() {
      const focused = grid.contains(document.activeElement);
      grid.style.gridTemplateColumns = `repeat(${about.grid[1]}, 1fr)`;
      rlgen.fill(grid, codes.map((k, n) => element("button", { type: "button", class: "tile", "aria-pressed": String(n === place), "data-changed": String(k !== original[n]),
        "aria-label": `Place ${n}: code ${k}`, title: `code ${k}`, on: { click: () => { place = n; fillGrid(); fillBook(); } } }, element("img", { class: "pixels", src: patch(k), alt: "" }))));
      if (focused) grid.children[place].focus();
    }

    function fillBook() {
      const focused = book.contains(document.activeElement) ? [...book.children].indexOf(document.activeElement) : -1;
      rlgen.fill(book, about.codes.map((k, n) => element("button", { type: "button", class: about.use[n] ? "tile" : "tile dead", "aria-pressed": String(codes[place] === k),
        "aria-label": `Code ${k}, ${format.percent(about.use[n])} of the places`, title: `code ${k}: ${format.percent(about.use[n])}`,
        on: { click: () => { codes[place] = k; fillGrid(); fillBook(); decode(); } } }, element("img", { class: "pixels", src: about.patches[n], alt: "" }))));
      if (focused >= 0) book.children[focused].focus();
    }

    const decode = rlgen.newest(async () => {
      try {
        changed.img.src = (await call("codes-decode", { codes })).image;
        const count = codes.filter((k, n) => k !== original[n]).length;
        text.textContent = `${count} of ${codes.length} codes changed.`;
      } catch (error) {
        fail(error);
      }
    });

    const encode = rlgen.newest(async (next) => {
      try {
        request = next;
        const found = await call("codes-encode", request);
        original = found.codes;
        codes = [...original];
        place = Math.min(place, codes.length - 1);
        given.img.src = found.image;
        again.img.src = found.reconstruction;
        changed.element.hidden = true;
        fillGrid();
        fillBook();
        text.textContent = `${codes.length} codes; squared error per pixel ${format.number(found.mse)}. Choose a place in the grid, then a code of the codebook.`;
      } catch (error) {
        fail(error);
      }
    });

    const load = rlgen.newest(async () => {
      try {
        if (!about) text.textContent = "Loading the model …";
        const first = !about;
        about = await call("codes-book", {});
        if (first) rlgen.fill(chooser, rlgen.subject(about, ["test", "picture"], encode).element);
        const dead = about.use.filter((share) => !share).length;
        note.textContent = `Codebook by use in ${format.number(about.counted)} test images, the most used code first: perplexity ${format.number(about.perplexity)} of ${about.codes.length} codes, ${dead} without a use (grey). Weights at ${format.number(about.time)} images.`;
        await encode(request);
      } catch (error) {
        fail(error);
      }
    });

    parent.append(element("div", { class: "columns2" }, element("div", { class: "stack" }, chooser, grid, button("Codes of the image again", () => encode(request))),
      element("div", { class: "figures" }, given.element, again.element, changed.element)), text, element("h4", { text: "Codebook" }), book, note);
    const onTime = () => {
      const next = rlgen.portrait(run, view);
      if (next === at) return;
      at = next;
      load();
    };
    view.on("time", onTime);
    load();
    return { destroy() { view.off("time", onTime); } };
  }

  rlgen.panel({ name: "codes", title: "Codes", order: 40, mount });
})(window.rlgen);
