// Runs: a table of all records, and above it what the one holds that the address names: its scenes, losses, settings.
{
  const FACTS = ["experiments", "detector", "scale", "seed", "score"];
  const WIDE = 360, HIGH = 170, EDGE = 28; // of a curve

  const made = (tag, settings, ...children) => {
    const element = Object.assign(document.createElement(tag), settings);
    element.append(...children);
    return element;
  };

  const SVG = made("template", { innerHTML: "<svg></svg>" }).content.firstChild.namespaceURI;

  const drawn = (tag, attributes, ...children) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  async function opened(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(stream).json();
  }

  const told = (value) => (value === null ? "–" : typeof value === "number" ? value.toFixed(1) : value);

  // Rows of numbers that lie one after another.
  const rows = (flat, width) => Array.from({ length: flat.length / width }, (_, k) => flat.slice(k * width, (k + 1) * width));

  function box([left, top, right, bottom], kind) {
    return drawn("rect", { x: left, y: top, width: Math.max(right - left, 0), height: Math.max(bottom - top, 0), class: kind });
  }

  function found([left, top, right, bottom, label, ...percent], classes, size) {
    const [score, object, given] = percent.map((one) => `${one} %`);
    const words = `${classes[label] ?? label} ${score}`, high = size / 22;
    const place = { x: left, y: top > high ? top - size / 110 : bottom + high, "font-size": high };
    const title = drawn("title", {}, `${words}: P(O) ${object}, P(C|O) ${given}`);
    return drawn("g", {}, title, box([left, top, right, bottom], "found"), drawn("text", place, words));
  }

  function scene({ size: [width, height], picture, objects = [] }, flat, classes, number) {
    const detected = rows(flat, 8), words = `Scene ${number}: ${detected.length} detections, ${objects.length} objects`;
    const shown = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
    if (picture) shown.append(drawn("image", { width, height, href: `data:image/webp;base64,${picture}` }));
    for (const [x, y, wide, high] of objects) shown.append(box([x, y, x + wide, y + high], "object"));
    shown.append(...detected.reverse().map((row) => found(row, classes, Math.max(width, height))));
    const absent = picture ? "" : "; the photograph is not part of the report";
    return made("figure", {}, shown, made("figcaption", {}, words + absent));
  }

  function line(at, values, last, low, high) {
    const x = (k) => EDGE + ((WIDE - 2 * EDGE) * at[k]) / Math.max(last, 1);
    const y = (value) => HIGH - EDGE - ((HIGH - 2 * EDGE) * (value - low)) / Math.max(high - low, 1e-9);
    return values.map((value, k) => [x(k), y(value)]);
  }

  function curve({ at, loss, AP }) {
    if (!at.length) return made("p", {}, "No curve: it was not trained here.");
    const last = at.at(-1), logs = loss.map((one) => Math.log(Math.max(one, 1e-6)));
    const points = line(at, logs, last, Math.min(...logs), Math.max(...logs)), taken = AP.map(([, value]) => value);
    const marks = line(AP.map(([k]) => k), taken, last, 0, Math.max(...taken, 1));
    const words = `Sum of losses, in logarithms, over ${last + 1} iterations, from ${loss[0]} to ${loss.at(-1)}`
      + (AP.length ? `, and AP of the first pictures: ${taken.join(", ")}` : "");
    const shown = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": words },
      drawn("polyline", { points: points.join(" "), class: "loss" }),
      ...marks.map(([cx, cy]) => drawn("circle", { cx, cy, r: 4 })),
      ...marks.map(([x, y], k) => drawn("text", { x, y: y - 7, "text-anchor": "middle", "font-size": 11 }, String(taken[k]))));
    return made("figure", {}, shown, made("figcaption", {}, words));
  }

  function panel(run, all) {
    const { classes, scenes } = all.sets[run.set];
    const numbers = all.metrics.map((name, k) => `${name} ${told(run.metrics[k])}`);
    const facts = [...FACTS.map((name) => `${name} ${run[name]}`), ...numbers, `${told(run.minutes)} minutes`, `made ${run.made}`];
    const record = made("a", { href: `../../results/runs/${run.scale}/${run.id}.json` }, `record ${run.id}`);
    const settings = made("details", { className: "fold" },
      made("summary", {}, `${run.settings.length} settings that differ from the paper's`),
      made("ul", {}, ...run.settings.map((one) => made("li", {}, one))));
    return [
      made("h3", {}, run.row),
      made("p", {}, `${facts.join(" · ")} · `, record),
      made("div", { className: "scenes" }, ...scenes.map((one, k) => scene(one, run.scenes[k], classes, k + 1))),
      made("p", {}, `Whole frames: detections with a score above ${all.above}; dotted: objects.`),
      curve(all.curves[run.curve]),
      settings,
    ];
  }

  function table(all) {
    const names = ["run", ...FACTS, ...all.metrics, "minutes", "made"];
    const head = made("tr", {}, ...names.map((name) => made("th", {}, name)));
    const lines = all.runs.map((run) => {
      const link = made("a", { href: `#${run.id}` }, run.row);
      const values = [...FACTS.map((name) => run[name]), ...run.metrics, run.minutes, run.made];
      const cells = values.map((value, k) => (k === 3 ? String(value) : told(value))); // a seed is no measurement
      const row = made("tr", {}, ...[link, ...cells].map((cell) => made("td", {}, cell)));
      row.addEventListener("click", () => (location.hash = run.id));
      return row;
    });
    return made("table", {}, made("thead", {}, head), made("tbody", {}, ...lines));
  }

  async function browse(place) {
    const all = await opened(place.dataset.runs);
    if (!all.runs.length) return place.replaceChildren("No record yet.");
    const known = new Map(all.runs.map((run) => [run.id, run])), list = table(all);
    const shown = made("section", { className: "run", ariaLive: "polite" });
    const show = () => {
      const run = known.get(location.hash.slice(1));
      shown.replaceChildren(...(run ? panel(run, all) : [made("p", {}, `${all.runs.length} runs: click one.`)]));
      if (run) shown.scrollIntoView();
    };
    place.replaceChildren(shown, made("div", { className: "list", tabIndex: 0, role: "region", ariaLabel: "all runs" }, list));
    makeSortable(list);
    makeFilter(list);
    addEventListener("hashchange", show);
    show();
  }

  for (const place of document.querySelectorAll("[data-runs]"))
    browse(place).catch((error) => place.replaceChildren(`This browser cannot open the runs: ${error}`));
}
